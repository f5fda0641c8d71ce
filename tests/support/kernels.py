"""Kernels of Jupyter, and what their cells show."""

from jupyter_client.manager import start_new_kernel

from tests.support.processes import environment

WAIT = 120  # seconds until a kernel that does not answer is a failure


class Kernel:
    """Run cells in a kernel."""

    def __init__(self):
        self.manager, self.client = start_new_kernel(startup_timeout=WAIT, env=environment())

    def run(self, code):
        """Run a cell; return what it shows by MIME type, what it prints, and the text of its error."""
        shown, printed, errors = {}, [], []

        def note(message):
            content = message["content"]
            if message["msg_type"] in {"execute_result", "display_data"}:
                shown.update(content["data"])
            elif message["msg_type"] == "stream":
                printed.append(content["text"])
            elif message["msg_type"] == "error":
                errors.append(f"{content['ename']}: {content['evalue']}")

        self.client.execute_interactive(code, timeout=WAIT, output_hook=note)
        return shown, "".join(printed), "".join(errors)

    def complete(self, code):
        """Return what follows *code* by the Tab key."""
        return self.client.complete(code, reply=True, timeout=WAIT)["content"]["matches"]

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
