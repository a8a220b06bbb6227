"""Keys, signatures, and whom to trust."""

from deploybundle.trust.keys import Algorithm, FileSigner, PublicKey, Signer, generate, load_private
from deploybundle.trust.keyset import KeySet, VendorKey, read_keyset
from deploybundle.trust.policy import Trust, Vendor, add_trusted, load_trust, revoke, save_trust, trusted_folder
from deploybundle.trust.problems import (
    BadSignature,
    KeyExists,
    KeyExpired,
    KeyProblem,
    KeyRevoked,
    KeySetInvalid,
    KeyTooOpen,
    MissingSignature,
    PassphraseWrong,
    SignatureProblem,
    UnknownSigner,
)
from deploybundle.trust.signatures import (
    NAMESPACE,
    Statement,
    dsse,
    read_statement,
    sshsig,
    verify_dsse,
    verify_sshsig,
)

__all__ = [
    "NAMESPACE",
    "Algorithm",
    "BadSignature",
    "FileSigner",
    "KeyExists",
    "KeyExpired",
    "KeyProblem",
    "KeyRevoked",
    "KeySet",
    "KeySetInvalid",
    "KeyTooOpen",
    "MissingSignature",
    "PassphraseWrong",
    "PublicKey",
    "SignatureProblem",
    "Signer",
    "Statement",
    "Trust",
    "UnknownSigner",
    "Vendor",
    "VendorKey",
    "add_trusted",
    "dsse",
    "generate",
    "load_private",
    "load_trust",
    "read_keyset",
    "read_statement",
    "revoke",
    "save_trust",
    "sshsig",
    "trusted_folder",
    "verify_dsse",
    "verify_sshsig",
]
