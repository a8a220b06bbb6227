"""What is wrong with a key or a signature, grouped by who must act."""

from __future__ import annotations

from deploybundle.errors import InputError, RefusedError


class KeyProblem(InputError):
    """A key file cannot be used.

    Name a key that `deployctl keygen` wrote, or a P-256 or Ed25519 key as PEM (private) or as one line like
    id_ecdsa.pub (public).
    """

    code = "key"


class KeyExists(KeyProblem):
    """A new key would replace one that is there.

    Keep the key: bundles that are out there are signed with it. To have another one, name another file with `--key`.
    """

    code = "key-exists"


class KeyTooOpen(KeyProblem):
    """A private key without a passphrase can be read by others than its owner.

    `chmod 600` the key file, and give it a passphrase if others could have read it.
    """

    code = "key-too-open"


class PassphraseWrong(KeyProblem):
    """The private key is encrypted, and the passphrase is missing or another one.

    Give the passphrase with `--passphrase-file`, or run it at a terminal and type it.
    """

    code = "key-passphrase"


class KeySetInvalid(RefusedError):
    """A vendor's key set, or what this machine trusts, cannot be believed.

    Ask the vendor by another way than the bundle; nothing was changed.
    """

    code = "key-set"


class SignatureProblem(RefusedError):
    """The signatures of a bundle do not show that a trusted vendor made it.

    Do not use this bundle. Get it again from the vendor, and compare the key's fingerprint by another way.
    """

    code = "signature"


class MissingSignature(SignatureProblem):
    """A bundle lacks one of its two signatures.

    Get the bundle from the vendor again: `deployctl bundle` always writes both signatures.
    """

    code = "signature-missing"


class UnknownSigner(SignatureProblem):
    """A bundle is signed by a key that is not trusted here.

    If the vendor confirms the fingerprint by telephone or on paper: `deployctl trust add VENDOR.pub`. If not, do not
    use the bundle.
    """

    code = "signer-unknown"


class BadSignature(SignatureProblem):
    """A signature is not of these bytes, not of this key, or not in its one spelling.

    Do not use this bundle: it was changed after it was signed, or the copy is damaged. Copy it again, then ask the vendor.
    """

    code = "signature-bad"


class KeyRevoked(SignatureProblem):
    """A key was revoked: its owner, or this site, says that nobody may use it, or what it signed, any more.

    Ask the vendor for a bundle signed by his current key. There is no way to use this one. The vendor makes a new key with
    `deployctl keygen` and adds that one to his key set.
    """

    code = "key-revoked"


class KeyRetired(SignatureProblem):
    """A vendor signs no more with this key: his later key set, which came here in a bundle, leaves it out.

    Ask the vendor for a bundle signed by his current key. What was installed here before can be gone back to; to look into an
    older bundle, name its key with `--key`. If the key set that left it out is not his, because somebody stole a key:
    `deployctl trust revoke` all keys of that set, then `deployctl trust add`.
    """

    code = "key-retired"


class KeyExpired(SignatureProblem):
    """A bundle that was never used here is signed by a key whose last day is over.

    Ask the vendor for a bundle signed by his current key; if this machine's clock is wrong, set it. What was installed here
    before goes on, and can be gone back to.
    """

    code = "key-expired"
