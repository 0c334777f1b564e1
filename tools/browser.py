"""Chromium without a window, for the pictures of the README and for benches/cli/bench.py."""

import base64
import json
import subprocess
import time
from pathlib import Path


class Browser:
    """Chromium without a window, by the DevTools protocol through its pipes."""

    def __init__(self, profile: Path) -> None:
        line = 'exec chromium "$@" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null'
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"]
        words = ["sh", "-c", line, "sh", *options, "--no-first-run", f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.number = 0
        self.session: str | None = None
        page = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]

    def call(self, method: str, **params: object) -> dict:
        self.number += 1
        message: dict[str, object] = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.process.stdin.write(json.dumps(message).encode() + b"\0")
        self.process.stdin.flush()
        while True:
            text = bytearray()
            while (byte := self.process.stdout.read(1)) != b"\0":
                if not byte:
                    raise SystemExit("browser: chromium has ended")
                text += byte
            answer = json.loads(text)
            if answer.get("id") == self.number:
                return answer["result"]

    def resize(self, size: tuple[int, int]) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False
        )

    def save(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def wait(self, expression: str) -> None:
        end = time.monotonic() + 60
        while self.call("Runtime.evaluate", expression=expression)["result"].get("value") is not True:
            if time.monotonic() > end:
                raise SystemExit(f"browser: it was not to be seen that {expression}")
            time.sleep(0.1)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
