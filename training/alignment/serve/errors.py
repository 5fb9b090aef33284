"""What a client did wrong, or why the server cannot answer, in OpenAI's shape."""

from typing import Any


class ApiError(Exception):
    """An answer of {"error": {"message", "type", "param", "code"}} with an HTTP status."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code

    def body(self) -> dict[str, Any]:
        """The JSON that the client gets."""
        return {
            "error": {
                "message": self.message,
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }


def unavailable(message: str) -> ApiError:
    """The server cannot answer now; the client may try again."""
    return ApiError(message, status=503, kind="server_error", code="unavailable")
