"""The page about a network: its drawing, and that a browser shows it and answers to keys."""

import re
import shutil
import subprocess

import numpy as np
import pytest

import tenon as tn
from tenon import nn
from tenon._page import page_html
from tenon._page.layout import draw
from tenon.nn import functional as f


class Residual(nn.Module):
    def __init__(self):
        self.first = nn.Linear(16, 16)
        self.second = nn.Linear(16, 16)

    def forward(self, x):
        return f.relu(x + self.second(f.tanh(self.first(x)).cast("float32")))


def network(depth=3, name="residual"):
    layers = [Residual() for _ in range(depth)]

    def forward(x, scale):
        for layer in layers:
            x = f.softmax(layer(x) * scale)
        return x, x.sum(-1)

    specs = [tn.TensorSpec(["n", 16], name="x"), tn.TensorSpec([16], name="scale")]
    return tn.compile(forward, specs, name=name)


def overlaps(a, b):
    apart = a.x + a.width <= b.x or b.x + b.width <= a.x
    return not (apart or a.y + a.height <= b.y or b.y + b.height <= a.y)


def random_dag(num_nodes, seed):
    rng = np.random.default_rng(seed)
    edges = {(int(rng.integers(max(0, b - 5), b)), b) for b in range(1, num_nodes)}
    edges |= {tuple(sorted(map(int, rng.choice(num_nodes, 2, replace=False)))) for _ in range(9)}
    return sorted(edges, key=lambda edge: edge[1])


@pytest.mark.parametrize("seed", range(4))
def test_boxes_do_not_overlap_and_edges_go_down(seed):
    edges = random_dag(40, seed)
    sizes = [(100.0 + 3 * (i % 7), 50.0) for i in range(40)]
    drawing = draw(sizes, edges)
    for i, a in enumerate(drawing.boxes):
        assert 0 <= a.x <= drawing.width - a.width + 1e-6
        assert 0 <= a.y <= drawing.height - a.height + 1e-6
        assert not any(overlaps(a, b) for b in drawing.boxes[i + 1 :])
    for (a, b), path in zip(edges, drawing.paths, strict=True):
        heights = [y for _, y in path]
        assert heights == sorted(heights)
        assert path[0] == (
            drawing.boxes[a].x + drawing.boxes[a].width / 2,
            drawing.boxes[a].y + drawing.boxes[a].height,
        )
        assert path[-1][1] == drawing.boxes[b].y
    assert drawing == draw(sizes, edges)


def test_long_edges_pass_beside_boxes():
    chain = [(i, i + 1) for i in range(6)]
    drawing = draw([(100.0, 50.0)] * 7, [*chain, (0, 6)])
    for x, y in drawing.paths[-1][1:-1]:
        for box in drawing.boxes[1:6]:
            inside = box.x < x < box.x + box.width
            assert not (inside and box.y <= y <= box.y + box.height)


def test_drawings_of_nothing_and_of_very_long_edges():
    assert draw([], []).boxes == []
    assert draw([(10.0, 10.0)], []).width == 10
    # More places in layers than are kept: long edges become one curve.
    edges = [(i, i + 1) for i in range(400)] + [(i, 400) for i in range(0, 399)]
    assert len(draw([(10.0, 10.0)] * 401, edges).boxes) == 401


def test_the_description_has_kernels_memory_and_what_passes_did():
    net = network()
    found = net.describe([[4, 16], [16]])
    assert found["sizes"] == {"n": 4}
    assert [a["name"] for a in found["inputs"]] == ["x", "scale"]
    assert found["inputs"][0]["sized_type"] == "float32[4, 16]"
    assert len(found["kernels"]) == net.num_kernels
    readers = [k for k in found["kernels"] if any(i["name"] == "scale" for i in k["inputs"])]
    assert len(readers) == 3
    fused = found["kernels"][0]["fused"]
    assert any(row["node"].startswith("linear") for row in fused)
    assert all(row["reason"] for row in fused)
    blocks = found["memory"]["blocks"]
    assert blocks
    assert max(b["offset"] + b["bytes"] for b in blocks) <= found["memory"]["arena_bytes"]
    assert found["profile"] is None
    assert net.describe()["sizes"] == {"n": 1}
    with pytest.raises(tn.ShapeError, match=r"takes 2 inputs, got 1 shapes.*\[E0421\]"):
        net.describe([[4, 16]])


def test_temporaries_that_are_needed_at_one_time_do_not_share_bytes():
    found = network(depth=5).describe([[7, 16], [16]])
    blocks = found["memory"]["blocks"]
    for i, a in enumerate(blocks):
        for b in blocks[i + 1 :]:
            if a["first"] <= b["last"] and b["first"] <= a["last"]:
                ends = a["offset"] + a["bytes"], b["offset"] + b["bytes"]
                assert ends[0] <= b["offset"] or ends[1] <= a["offset"]


def test_a_page_loads_nothing(tmp_path):
    net = network()
    net.html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)\s*=|url\(|@import|https?://|fetch\(|XMLHttp", page)
    with pytest.raises(tn.ResourceError, match=r"cannot write.*\[E0828\]"):
        net.html(tmp_path / "none" / "page.html")


def test_no_text_of_a_model_becomes_part_of_the_page():
    evil = "</script><script>document.title=1</script><b onclick='x'>"
    found = network().describe()
    found["name"] = evil
    found["inputs"][0]["name"] = evil
    found["kernels"][0]["name"] = evil
    found["kernels"][0]["inputs"][0]["type"] = evil
    found["rewrites"][0]["reason"] = evil
    page = page_html(found)
    assert evil not in page
    assert page.count("</script>") == 2
    assert "<b onclick" not in page


ACTIONS = """
<script>
const say = (name, value) => { document.body.dataset[name] = String(value); };
const press = (key) => window.dispatchEvent(new KeyboardEvent("keydown", { key }));
const view = () => document.querySelector("#graph-drawing .view").getAttribute("transform");
const chosen = () => document.querySelector(".node.chosen")?.dataset.kernel ?? "none";
press("j"); press("j"); say("second", chosen());
say("title", document.querySelector("#details h2").textContent);
const before = view(); press("+"); say("zooms", before !== view());
const at = view(); press("ArrowLeft"); say("moves", at !== view());
const wheeled = view();
document.getElementById("graph-drawing").dispatchEvent(new WheelEvent("wheel",
  { deltaY: -100, clientX: 500, clientY: 300, cancelable: true }));
say("wheels", wheeled !== view());
const search = document.getElementById("search");
search.value = "sum"; search.dispatchEvent(new Event("input"));
say("found", document.querySelectorAll("#kernels li").length);
say("hits", document.querySelectorAll(".node.hit").length);
document.querySelector('.node[data-kernel="0"] .box').dispatchEvent(
  new MouseEvent("click", { bubbles: true }));
say("clicked", chosen());
document.getElementById("tab-memory").click();
say("memory", document.getElementById("panel-memory").getBoundingClientRect().width > 0);
const theme = document.documentElement.dataset.theme;
document.getElementById("theme").click();
say("themes", theme !== document.documentElement.dataset.theme);
press("Escape"); say("none", chosen());
</script>
"""


def attributes_in_browser(page, width=1400, place=""):
    """Load a page without a screen; return what its script said about itself."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    assert browser, "no browser: install what scripts/debian_packages.txt lists"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [f"--window-size={width},900", "--virtual-time-budget=4000", "--dump-dom"]
    command += [f"--user-data-dir={page.parent}/profile", f"file://{page}{place}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    body = re.search(r"<body([^>]*)>", done.stdout)
    assert body, done.stdout[:500] + done.stderr[-2000:]
    return dict(re.findall(r'data-([a-z]+)="([^"]*)"', body[1])), done.stdout


def test_a_browser_shows_the_page_and_it_answers(tmp_path):
    net = network()
    profile = net.profile(np.ones((4, 16), "float32"), np.ones(16, "float32"), seconds=0.02)
    path = tmp_path / "page.html"
    net.html(path, profile=profile)
    path.write_text(path.read_text().replace("</body>", ACTIONS + "</body>"))
    said, dom = attributes_in_browser(path)
    assert "error" not in said, said
    assert said["kernels"] == str(net.num_kernels)
    assert int(said["blocks"]) == len(net.describe()["memory"]["blocks"])
    assert said["second"] == "1"
    assert said["title"].startswith("1 · ")
    for name in ("zooms", "moves", "wheels", "memory", "themes"):
        assert said[name] == "true", (name, said)
    assert said["found"] == said["hits"] != "0"
    assert int(said["found"]) < net.num_kernels
    assert (said["clicked"], said["none"]) == ("0", "none")
    assert "of the roof" in dom


def test_a_browser_shows_branches_loops_and_networks_without_temporaries(tmp_path):
    def step(state, x):
        state = f.tanh(state + x)
        return state, state * 2.0

    specs = [tn.TensorSpec(["n", 3], name="x")]
    path = tmp_path / "loop.html"
    tn.compile(lambda x: tn.scan(step, x[0], x)[1], specs, name="loop").html(path)
    said, dom = attributes_in_browser(path, width=700, place="#0")
    assert "error" not in said, said
    assert int(said["kernels"]) >= 1
    assert len(re.findall(r'class="node kernel[^"]* chosen"', dom)) == 1
    assert "<h2>0 · " in dom
