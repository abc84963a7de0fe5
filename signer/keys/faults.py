# SPDX-License-Identifier: Apache-2.0
"""The one table of what devices answer: how far each error reaches, and whether the key may have been used.

`touched` is true where the answer does not prove that nothing was signed. It counts for a signature alone: looking
for a key uses none. An error that is not listed is the worst of both (`UNKNOWN`, `KMS_UNKNOWN`).

PKCS #11 errors are named as python-pkcs11 names them: `DeviceError` is CKR_DEVICE_ERROR. Those of AWS KMS are the
error codes of its answers (API reference of `Sign`, `GetPublicKey`, `DescribeKey`, and "Common Errors"), and for
calls without an answer the exceptions of botocore.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from signer.keys.backend import Scope


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one error means and what helps."""

    scope: Scope
    touched: bool
    code: str
    remedy: str


_OURS = Meaning(
    Scope.CALL, False, "token-unavailable", "this is a defect of the signer or a limit of the device: see its manual"
)
_UNSUITED = Meaning(
    Scope.KEY, False, "key-unsuited", "give the key another algorithm in [[keys]], or make a key of that kind"
)
_MISSING = Meaning(
    Scope.KEY,
    False,
    "key-missing",
    "look at the token's objects: exactly one key pair with this label and id is needed",
)
_AMBIGUOUS = Meaning(
    Scope.KEY,
    False,
    "key-ambiguous",
    "look at the token's objects: exactly one key pair with this label and id is needed",
)
_SESSION = Meaning(
    Scope.SESSION, False, "token-unavailable", "none needed: the worker starts again and finds its keys anew"
)
_TOKEN = Meaning(
    Scope.MODULE,
    False,
    "token-unavailable",
    "check that the token is there and bears the label of its [[tokens]] entry",
)
_TOKENS = Meaning(
    Scope.MODULE, False, "token-ambiguous", "several tokens bear this label: name one by `serial` in [[tokens]]"
)
_DEVICE = Meaning(Scope.MODULE, True, "token-unavailable", "check the token, its vendor module and its configuration")
_PIN = Meaning(
    Scope.NEVER,
    False,
    "pin-refused",
    "put the right PIN into the token's PIN file; the old one is not tried again before the file is written or touched",
)
UNKNOWN = _DEVICE

PKCS11: Mapping[str, Meaning] = {
    # The device refused the call before it used a key; the session goes on.
    "ArgumentsBad": _OURS,
    "AttributeReadOnly": _OURS,
    "AttributeSensitive": _OURS,
    "AttributeTypeInvalid": _OURS,
    "AttributeValueInvalid": _OURS,
    "DataInvalid": _OURS,
    "DataLenRange": _OURS,
    "DomainParamsInvalid": _OURS,
    "EncryptedDataInvalid": _OURS,
    "EncryptedDataLenRange": _OURS,
    "FunctionNotSupported": _OURS,
    "KeyIndigestible": _OURS,
    "KeyNeeded": _OURS,
    "KeyNotNeeded": _OURS,
    "KeyNotWrappable": _OURS,
    "KeyUnextractable": _OURS,
    "MechanismParamInvalid": _OURS,
    "NoEvent": _OURS,
    "PublicKeyInvalid": _OURS,
    "RandomNoRNG": _OURS,
    "RandomSeedNotSupported": _OURS,
    "SessionReadOnly": _OURS,
    "SignatureInvalid": _OURS,
    "SignatureLenRange": _OURS,
    "TemplateIncomplete": _OURS,
    "TemplateInconsistent": _OURS,
    "TokenWriteProtected": _OURS,
    "UnwrappingKeyHandleInvalid": _OURS,
    "UnwrappingKeySizeRange": _OURS,
    "UnwrappingKeyTypeInconsistent": _OURS,
    "WrappedKeyInvalid": _OURS,
    "WrappedKeyLenRange": _OURS,
    "WrappingKeyHandleInvalid": _OURS,
    "WrappingKeySizeRange": _OURS,
    "WrappingKeyTypeInconsistent": _OURS,
    # This key is unusable, whatever the session does.
    "KeySizeRange": _UNSUITED,
    "KeyTypeInconsistent": _UNSUITED,
    "MechanismInvalid": _UNSUITED,
    "MultipleObjectsReturned": _AMBIGUOUS,
    "NoSuchKey": _MISSING,
    # Handles, session or login are gone: nothing was signed, everything must be found again.
    "KeyHandleInvalid": _SESSION,
    "ObjectHandleInvalid": _SESSION,
    "OperationActive": _SESSION,
    "OperationNotInitialized": _SESSION,
    "SessionClosed": _SESSION,
    "SessionCount": _SESSION,
    "SessionExists": _SESSION,
    "SessionHandleInvalid": _SESSION,
    "SessionReadOnlyExists": _SESSION,
    "SessionReadWriteSOExists": _SESSION,
    "TokenNotPresent": _SESSION,
    "UserAlreadyLoggedIn": _SESSION,
    "UserNotLoggedIn": _SESSION,
    # No token by that name: start again later. SoftHSM answers UserPinNotInitialized in its start-up race.
    "NoSuchToken": _TOKEN,
    "SlotIDInvalid": _TOKEN,
    "TokenNotRecognised": _TOKEN,
    "UserPinNotInitialized": _TOKEN,
    "MultipleTokensReturned": _TOKENS,
    # The device failed in the middle: a signature may have been made.
    "DeviceError": _DEVICE,
    "DeviceMemory": _DEVICE,
    "DeviceRemoved": _DEVICE,
    "ExceededMaxIterations": _DEVICE,
    "FunctionCancelled": _DEVICE,
    "FunctionFailed": _DEVICE,
    "FunctionRejected": _DEVICE,
    "GeneralError": _DEVICE,
    "HostMemory": _DEVICE,
    # Another attempt counts towards a lock.
    "AnotherUserAlreadyLoggedIn": _PIN,
    "PinExpired": _PIN,
    "PinIncorrect": _PIN,
    "PinInvalid": _PIN,
    "PinLenRange": _PIN,
    "PinLocked": _PIN,
    "PinTooWeak": _PIN,
    "UserTooManyTypes": _PIN,
}
"""Every error of python-pkcs11 → what it means (a test compares the names)."""

_ABSENT = Meaning(Scope.KEY, False, "key-missing", "correct the ARN: `aws kms describe-key --key-id ARN` must find it")
_DISABLED = Meaning(
    Scope.KEY,
    False,
    "key-disabled",
    "enable the key (`aws kms enable-key`), or cancel its deletion, then wait a moment",
)
_DENIED = Meaning(
    Scope.KEY,
    False,
    "key-denied",
    "allow kms:Sign, kms:GetPublicKey and kms:DescribeKey on this key, and check the credentials (see the how-to)",
)
_BUSY = Meaning(
    Scope.BUSY, False, "key-throttled", "ask AWS for a higher quota of cryptographic operations, or send less"
)
_UNREACHED = Meaning(Scope.KEY, False, "token-unavailable", "check the network path and the endpoint of AWS KMS")
_UNANSWERED = Meaning(Scope.KEY, True, "token-unavailable", "check the network path and the health of AWS KMS")
KMS_UNKNOWN = _UNANSWERED

AWS_KMS: Mapping[str, Meaning] = {
    # The request was refused as it stands.
    "DryRunOperationException": _OURS,
    "IncompleteSignature": _OURS,
    "InvalidAction": _OURS,
    "InvalidParameterCombination": _OURS,
    "InvalidParameterValue": _OURS,
    "InvalidQueryParameter": _OURS,
    "MalformedQueryString": _OURS,
    "MissingAction": _OURS,
    "MissingParameter": _OURS,
    "UnsupportedOperationException": _OURS,
    "ValidationError": _OURS,
    "ValidationException": _OURS,
    # There is no such key, or it is of another kind.
    "InvalidArnException": _ABSENT,
    "NotFoundException": _ABSENT,
    "InvalidKeyUsageException": _UNSUITED,
    "DisabledException": _DISABLED,
    "KMSInvalidStateException": _DISABLED,
    # Whoever asks may not, or cannot prove who it is.
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "ExpiredToken": _DENIED,
    "ExpiredTokenException": _DENIED,
    "InvalidClientTokenId": _DENIED,
    "InvalidGrantTokenException": _DENIED,
    "InvalidSignatureException": _DENIED,
    "MissingAuthenticationToken": _DENIED,
    "MissingAuthenticationTokenException": _DENIED,
    "NotAuthorized": _DENIED,
    "OptInRequired": _DENIED,
    "RequestExpired": _DENIED,
    "SignatureDoesNotMatch": _DENIED,
    "UnrecognizedClientException": _DENIED,
    # Refused before any work, and welcome again later.
    "KeyUnavailableException": _BUSY,
    "LimitExceededException": _BUSY,
    "RequestLimitExceeded": _BUSY,
    "Throttling": _BUSY,
    "ThrottlingException": _BUSY,
    "TooManyRequestsException": _BUSY,
    # Something failed in the middle; that nothing was signed is not proved.
    "DependencyTimeoutException": _UNANSWERED,
    "InternalFailure": _UNANSWERED,
    "InternalServerError": _UNANSWERED,
    "KMSInternalException": _UNANSWERED,
    "RequestTimeout": _UNANSWERED,
    "ServiceUnavailable": _UNANSWERED,
    "ServiceUnavailableException": _UNANSWERED,
}
"""Error code of an answer of AWS KMS → what it means."""

BOTOCORE: Mapping[str, Meaning] = {
    # No request left this machine.
    "ConfigNotFound": _DENIED,
    "ConfigParseError": _DENIED,
    "CredentialRetrievalError": _DENIED,
    "MetadataRetrievalError": _DENIED,
    "NoCredentialsError": _DENIED,
    "PartialCredentialsError": _DENIED,
    "ProfileNotFound": _DENIED,
    "TokenRetrievalError": _DENIED,
    "ParamValidationError": _OURS,
    "ConnectTimeoutError": _UNREACHED,
    "EndpointConnectionError": _UNREACHED,
    "ProxyConnectionError": _UNREACHED,
    "SSLError": _UNREACHED,
    # The request may have arrived.
    "ConnectionClosedError": _UNANSWERED,
    "HTTPClientError": _UNANSWERED,
    "IncompleteReadError": _UNANSWERED,
    "ReadTimeoutError": _UNANSWERED,
    "ResponseStreamingError": _UNANSWERED,
}
"""Exception of botocore, when there was no answer → what it means."""
