"""Keys, signatures, and whom to trust."""

from deploybundle.trust.keys import Algorithm, FileSigner, PublicKey, Signer, generate, load_private
from deploybundle.trust.policy import add_trusted, load_trusted, trusted_folder
from deploybundle.trust.problems import (
    BadSignature,
    KeyExists,
    KeyProblem,
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
    "KeyProblem",
    "KeyTooOpen",
    "MissingSignature",
    "PassphraseWrong",
    "PublicKey",
    "SignatureProblem",
    "Signer",
    "Statement",
    "UnknownSigner",
    "add_trusted",
    "dsse",
    "generate",
    "load_private",
    "load_trusted",
    "read_statement",
    "sshsig",
    "trusted_folder",
    "verify_dsse",
    "verify_sshsig",
]
