"""`mefuse report`, run for real, and its page in a real browser: offline, safe, usable."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from batch_helpers import record_of, write_bracket, write_plan
from browser import Page, browsing
from mefuse.batch.manifest import MANIFEST
from mefuse.gallery.run import PAGE

MEFUSE = [sys.executable, "-m", "mefuse"]
HOSTILE = (
    "<img src=x onerror=alert(1)>.jpg",
    "\"' onload='alert(2)' x=\".jpg",
    "line\nbreak.jpg",
    "caf\udce9 \u202egpj.jpg",
)
ATTACK = '</script><script>alert(3)</script><img src="http://127.0.0.1:1/x" onerror="alert(4)">'


def run(*command: str, **how: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*MEFUSE, *command], capture_output=True, timeout=120, check=False, **how)


@dataclass(frozen=True)
class Batch:
    """A folder with the manifest and the pictures of a batch, and its page."""

    folder: Path

    @property
    def page(self) -> Path:
        return self.folder / PAGE


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    """Five brackets: two fused, one with hostile names, one gone since, one that failed."""
    root = tmp_path_factory.mktemp("batch <b>&amp;")
    brackets = [write_bracket(root / "card", number) for number in range(5)]
    brackets[1] = [
        path.rename(path.with_name(name))
        for path, name in zip(brackets[1], HOSTILE[:3], strict=True)
    ]
    brackets[2][2] = brackets[2][2].rename(brackets[2][2].with_name(HOSTILE[3]))
    whole = brackets[4][1].read_bytes()
    brackets[4][1].write_bytes(whole[: len(whole) // 2])
    plan = write_plan(root / "plan.json", brackets)
    out = root / "out"
    done = run(
        "batch", "--model", "mertens", "--plan", str(plan), "-o", str(out), "--format", "jpeg",
        "--name", "{index:02}",
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    with (out / MANIFEST).open("a") as file:
        error = {"kind": "ReadError", "message": f"{ATTACK}: is damaged"}
        failed = record_of(
            f"{ATTACK}.jpg", outcome="failed", error=error, settings={ATTACK: ATTACK}
        )
        file.write(json.dumps(failed.content) + "\n")
    (out / "04.jpg").unlink()
    brackets[3][0].unlink()
    made = run("report", str(out))
    assert (made.returncode, made.stdout) == (0, b""), made.stderr
    assert b"6 brackets" in made.stderr
    assert b"2 files are no longer where they were" in made.stderr
    return Batch(out)


def test_the_page_is_one_file_that_asks_for_nothing(batch: Batch) -> None:
    text = batch.page.read_text(encoding="utf-8")
    assert sorted(path.name for path in batch.folder.iterdir()) == [
        "01.jpg", "02.jpg", "03.jpg", MANIFEST, PAGE,
    ]  # fmt: skip
    assert "default-src 'none'; img-src data:; style-src 'sha256-" in text
    assert not re.search(r"<[^>]+\s(src|srcset|action|data|poster)=\"(?!data:)", text)
    assert re.findall(r'<[^>]+\shref="([^"#]+)"', text)[1:] == ["./01.jpg", "./02.jpg", "./03.jpg"]
    assert ATTACK not in text
    assert "\udce9" not in text


def test_pictures_keep_to_the_budget(batch: Batch, tmp_path: Path) -> None:
    sizes = []
    for budget in ("60", "5", "0"):
        target = tmp_path / f"{budget}.html"
        assert (
            run("report", str(batch.folder), "-o", str(target), "--budget", budget).returncode == 0
        )
        cards = target.read_text().split("<article")[1:]
        assert len(cards) == 6
        pictures = [sum(map(len, re.findall(r"data:image/jpeg[^\"]*", card))) for card in cards]
        assert max(pictures) <= int(budget) * 1000
        sizes.append(target.stat().st_size)
    assert sizes == sorted(sizes, reverse=True)


def test_a_page_is_never_replaced_unasked(batch: Batch) -> None:
    before = batch.page.read_bytes()
    refused = run("report", str(batch.folder), "--budget", "0")
    assert refused.returncode == 1
    assert b"exists already; choose another name, or give --overwrite" in refused.stderr
    assert batch.page.read_bytes() == before
    done = run("report", str(batch.folder), "--overwrite", "-q")
    assert (done.returncode, done.stderr) == (0, b"")
    assert batch.page.read_bytes() == before, "the same batch gives the same page"


def test_the_page_goes_to_a_pipe_or_another_place(batch: Batch, tmp_path: Path) -> None:
    piped = run("report", str(batch.folder), "-o", "-", "-q")
    assert piped.returncode == 0
    assert piped.stdout.startswith(b"<!DOCTYPE html>")
    assert b"<h2" in piped.stdout
    assert b'href="./0' not in piped.stdout, "a page without a place has no way to the pictures"
    elsewhere = tmp_path / "pages"
    elsewhere.mkdir()
    assert run("report", str(batch.folder), "-o", str(elsewhere / "x.html")).returncode == 0
    found = re.findall(r'href="(\./[^"]+01\.jpg)"', (elsewhere / "x.html").read_text())
    assert (elsewhere / unquote(found[0])).exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", "cannot be read (no such file or directory); name a batch's folder"),
        ("empty", "its manifest tells of no bracket; run `mefuse batch` first"),
    ],
)
def test_a_folder_without_a_batch_is_told(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / MANIFEST).write_text("torn li")
    done = run("report", str(tmp_path / name))
    assert done.returncode == 1
    assert said in done.stderr.decode()
    assert not list(tmp_path.glob("*/*.html"))


def test_frames_are_not_touched(batch: Batch, tmp_path: Path) -> None:
    card = batch.folder.parent / "card"
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in card.iterdir()}
    card.chmod(0o555)
    try:
        assert run("report", str(batch.folder), "-o", str(tmp_path / "x.html")).returncode == 0
    finally:
        card.chmod(0o755)
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in card.iterdir()}
    assert after == before


# In the browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browsing(tmp_path_factory.mktemp("profile")) as opened:
        note = "window.alarms = 0; for (const f of ['alert', 'prompt', 'confirm']) "
        note += "window[f] = () => { window.alarms += 1; };"
        opened.call("Page.addScriptToEvaluateOnNewDocument", source=note)
        opened.resize(1200, 900)
        yield opened


@pytest.fixture
def shown(page: Page, batch: Batch) -> Page:
    page.open(batch.page.as_uri())
    return page


def visible(page: Page) -> list[int]:
    """Numbers of the brackets that are shown, in their order."""
    script = "[...document.querySelectorAll('.bracket')].filter((x) => x.checkVisibility())"
    return [int(x) for x in page.run(f"{script}.map((x) => x.dataset.number)")]


def test_nothing_is_asked_for_and_nothing_goes_wrong(shown: Page, batch: Batch) -> None:
    assert shown.requests() == [batch.page.as_uri()]
    assert shown.run("window.alarms") == 0
    assert shown.noted("Runtime.exceptionThrown") == []
    assert shown.noted("Log.entryAdded") == []
    assert shown.run("[...document.images].every((x) => x.complete && x.naturalWidth > 0)")
    assert shown.run("document.scripts.length") == 1


def test_even_a_script_in_the_page_could_reach_nothing(shown: Page) -> None:
    asked: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)

        do_POST = do_GET  # noqa: N815

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        refused = shown.run(
            f"""(async () => {{
              const tried = [fetch('{address}fetch'), new Promise((done, fail) => {{
                const picture = new Image(); picture.onload = done; picture.onerror = fail;
                picture.src = '{address}picture';
              }})];
              navigator.sendBeacon('{address}beacon');
              const inline = document.createElement('script');
              inline.textContent = 'window.alarms += 1';
              document.body.append(inline);
              const ends = await Promise.allSettled(tried);
              return ends.map((end) => end.status);
            }})()"""
        )
        server.shutdown()
    assert refused == ["rejected", "rejected"]
    assert asked == []
    assert shown.run("window.alarms") == 0


def test_hostile_names_are_text(shown: Page) -> None:
    text = shown.run("document.body.textContent")
    assert "<img src=x onerror=alert(1)>.jpg" in text
    assert "\"' onload='alert(2)' x=\".jpg" in text
    assert "line␊break.jpg" in text
    assert "caf\ufffd <U+202E>gpj.jpg" in text
    assert ATTACK in text
    assert shown.run("document.querySelectorAll('main script, main [onerror]').length") == 0
    titles = shown.run("[...document.querySelectorAll('button.frame')].map((x) => x.dataset.frame)")
    assert "<img src=x onerror=alert(1)>.jpg" in titles
    assert shown.run("document.title") == "out: 6 brackets"


def test_filter_search_and_order(shown: Page) -> None:
    def choose(kind: str) -> None:
        shown.run(f"document.querySelector('input[value={kind}]').click()")

    def find(words: str) -> None:
        shown.run(
            f"{{ const x = document.querySelector('[name=find]'); x.value = {json.dumps(words)};"
            "x.dispatchEvent(new Event('input', {bubbles: true})); }"
        )

    count = "document.querySelector('.count').textContent"
    everything = visible(shown)
    assert sorted(everything) == [1, 2, 3, 4, 5, 6]
    choose("failed")
    failed = visible(shown)
    assert len(failed) == 2
    assert shown.run(count) == "2 of 6 shown"
    find("DAMAGED alert(3)")
    assert len(visible(shown)) == 1
    assert shown.run("location.hash") == "#show=failed&find=DAMAGED+alert%283%29"
    choose("all")
    find("")
    choose("warned")
    assert len(visible(shown)) == 1, "what is gone since is a warning"
    choose("fused")
    assert len(visible(shown)) == 4
    find("nothing is called like this")
    assert visible(shown) == []
    assert shown.run("document.querySelector('.nothing').checkVisibility()")
    shown.run("document.querySelector('.nothing button').click()")
    assert visible(shown) == everything
    shown.run(
        "{ const x = document.querySelector('[name=sort]'); x.value = 'name';"
        "x.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    names = shown.run("[...document.querySelectorAll('.bracket')].map((x) => x.dataset.name)")
    assert [name for name in names if name[0] == "0"] == [f"0{k}.jpg" for k in range(1, 6)]


def test_without_a_fused_picture_there_is_nothing_to_compare(shown: Page) -> None:
    absent = (
        "[...document.querySelectorAll('.bracket')].filter((x) => !x.querySelector('.compare'))"
    )
    assert shown.run(f"{absent}.length") == 3, "two failed, one is gone"
    assert shown.run(f"{absent}.flatMap((x) => [...x.querySelectorAll('button')]).length") == 0
    assert shown.run(f"{absent}.flatMap((x) => [...x.querySelectorAll('.frame img')]).length") > 0


def test_an_address_remembers_what_was_chosen(page: Page, batch: Batch) -> None:
    page.open("about:blank")
    page.open(f"{batch.page.as_uri()}#show=failed&sort=-seconds&find=damaged")
    assert page.run("document.querySelector('[name=show]:checked').value") == "failed"
    assert page.run("document.querySelector('[name=sort]').value") == "-seconds"
    assert len(visible(page)) == 2
    page.open("about:blank")
    page.open(f"{batch.page.as_uri()}#show=constructor&sort=%3Cimg%3E")
    assert len(visible(page)) == 6
    assert page.noted("Runtime.exceptionThrown") == []


def test_the_slider_follows_keys_and_mouse(shown: Page) -> None:
    first = "document.querySelector('.compare')"
    at = f"parseFloat({first}.style.getPropertyValue('--at'))"
    assert shown.run(at) == 4
    shown.run(f"{first}.querySelector('input').focus()")
    shown.press("End", 35)
    assert shown.run(at) == 100
    shown.press("Home", 36)
    assert shown.run(at) == 0
    shown.press("ArrowRight", 39)
    assert shown.run(at) > 0
    place = shown.run(f"{first}.scrollIntoView(), {first}.getBoundingClientRect().toJSON()")
    shown.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    assert shown.run(at) == pytest.approx(50, abs=1)
    said = shown.run(f"{first}.querySelector('input').getAttribute('aria-valuetext')")
    assert said == "50 % of the picture, from the left, is the reference"
    width = f"{first}.querySelector('.before').getBoundingClientRect().width"
    assert shown.run(width) == place["width"], "both pictures have one size on the page"
    clip = f"getComputedStyle({first}.querySelector('.before')).clipPath"
    assert "50" in shown.run(clip)


def test_a_frame_can_be_chosen_with_the_keyboard(shown: Page) -> None:
    frame = "document.querySelectorAll('button.frame')[2]"
    shown.run(f"{frame}.focus()")
    shown.press("Enter", 13, text="\r")
    assert shown.run(f"{frame}.getAttribute('aria-pressed')") == "true"
    card = f"{frame}.closest('.bracket')"
    assert shown.run(f"{card}.querySelectorAll('[aria-pressed=true]').length") == 1
    assert shown.run(f"{card}.querySelector('.before').src === {frame}.querySelector('img').src")
    said = shown.run(f"{card}.querySelector('.compare .left').textContent")
    assert said == shown.run(f"{frame}.dataset.frame")


def test_everything_has_a_name_for_who_cannot_see_it(shown: Page) -> None:
    shown.call("Accessibility.enable")
    nodes = shown.call("Accessibility.getFullAXTree")["nodes"]
    wanted = {"button", "slider", "radio", "searchbox", "combobox", "image", "article", "link"}
    found = set()
    for node in nodes:
        role = node.get("role", {}).get("value")
        if role in wanted and not node.get("ignored"):
            found.add(role)
            assert node.get("name", {}).get("value", "").strip(), node
    assert found >= wanted - {"combobox"}
    shown.press("Tab", 9)
    assert shown.run("document.activeElement.className") == "skip"


@pytest.mark.parametrize("width", [320, 390, 1200, 2400])
def test_the_page_fits_the_window(shown: Page, width: int) -> None:
    shown.run("for (const x of document.querySelectorAll('details')) x.open = true;")
    shown.resize(width, 800, phone=width < 500)
    try:
        assert shown.run("document.documentElement.scrollWidth") <= width
    finally:
        shown.resize(1200, 900)


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_paper(shown: Page, dark: bool) -> None:
    shown.resize(1200, 900, dark=dark)
    script = """(() => {
      const level = (text) => {
        const [r, g, b] = text.match(/[\\d.]+/g).map((x) => x / 255)
          .map((x) => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const paper = (node) => {
        for (; node; node = node.parentElement) {
          const colour = getComputedStyle(node).backgroundColor;
          if (!/, 0\\)$/.test(colour)) return colour;
        }
      };
      const names = 'h1,h2,h2 a,.error,.warnings,.figures,summary,.file,.count,.mark.fused,'
        + '.mark.failed,.mark.warned,.show b,.absent,footer';
      return names.split(',').map((name) => {
        const node = document.querySelector(name);
        const [a, b] = [level(getComputedStyle(node).color), level(paper(node))];
        return [name, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
      });
    })()"""
    try:
        for name, contrast in shown.run(script):
            assert contrast >= 4.5, f"{name}: {contrast:.2f}; WCAG 2 asks for 4.5"
    finally:
        shown.resize(1200, 900)


def test_without_scripts_everything_is_there(page: Page, batch: Batch) -> None:
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(batch.page.as_uri())
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)
    assert len(visible(page)) == 6
    assert page.run("document.querySelector('.tools').checkVisibility()") is False
    assert page.run("document.querySelectorAll('.compare img.after').length") == 3


def test_screenshots_for_people(shown: Page, tmp_path: Path) -> None:
    """With MEFUSE_SCREENSHOTS=DIR they stay there to be looked at."""
    folder = Path(os.environ.get("MEFUSE_SCREENSHOTS", tmp_path))
    for name, width, phone, dark in (
        ("desktop", 1400, False, False), ("dark", 1400, False, True), ("phone", 390, True, False),
    ):  # fmt: skip
        shown.resize(width, 900, phone=phone, dark=dark)
        shown.shoot(folder / f"{name}.png")
        assert (folder / f"{name}.png").stat().st_size > 20_000, "more than an empty page"
    shown.resize(1200, 900)
