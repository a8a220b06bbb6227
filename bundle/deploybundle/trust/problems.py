"""What is wrong with a key or a signature, grouped by who must act."""

from __future__ import annotations

from deploybundle.errors import InputError, RefusedError


class KeyProblem(InputError):
    """A key file cannot be used."""

    code = "key"


class KeyExists(KeyProblem):
    """A new key would replace one that is there."""

    code = "key-exists"


class KeyTooOpen(KeyProblem):
    """A private key without a passphrase can be read by others than its owner."""

    code = "key-too-open"


class PassphraseWrong(KeyProblem):
    """The private key is encrypted, and the passphrase is missing or another one."""

    code = "key-passphrase"


class SignatureProblem(RefusedError):
    """The signatures of a bundle do not show that a trusted vendor made it."""

    code = "signature"


class MissingSignature(SignatureProblem):
    """A bundle lacks one of its two signatures."""

    code = "signature-missing"


class UnknownSigner(SignatureProblem):
    """A bundle is signed by a key that is not trusted here."""

    code = "signer-unknown"


class BadSignature(SignatureProblem):
    """A signature is not of these bytes, not of this key, or not in its one spelling."""

    code = "signature-bad"
