from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from examples.iowa.api import Api


class Threads(ThreadPoolExecutor):
    """Some threads at the API. When the `with` block fails, what has not begun is cancelled and
    requests that wait for another try give up, so that Ctrl-C and errors end the run at once."""

    def __init__(self, api: Api, count: int) -> None:
        super().__init__(count)
        self._stopping = api.stopping

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error_type is not None:
            self._stopping.set()
        self.shutdown(wait=True, cancel_futures=error_type is not None)
