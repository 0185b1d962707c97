"""The live page: the network packed for a browser, the library that computes with it, examples.

The library comes from npm, under the versions in package.json, into node_modules/ beside it. The
page stands twice in the site: live.html fetches what it needs, live_offline.html has it inside.
"""

import base64
import gzip
import hashlib
import json
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image

from data.drawing import ct, pets
from utils import model, plotting

HERE = Path(__file__).parent
LIBRARY = HERE / "node_modules" / "@tensorflow"
CHELSEA = resources.files("skimage") / "data" / "chelsea.png"
CODE = (
    "tfjs-core/dist/tf-core.es2017.min.js",
    "tfjs-backend-wasm/dist/tf-backend-wasm.es2017.min.js",
)
WASM = "tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm"
INSTALL = ("install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund")
EXAMPLES = {  # file: what it shows, in English and in Portuguese
    "chelsea.png": ("a tabby cat", "uma gata malhada"),
    "cat.png": ("a drawn cat", "um gato desenhado"),
    "dog.png": ("its twin: a dog’s head", "sua gêmea: cabeça de cachorro"),
    "slice.png": ("a slice of a lung: no pet", "um corte de pulmão: nenhum animal"),
}


def page(folder):
    """What the template needs, as a dict; the page's files are written into `folder`.

    None, and a sentence that says why, where the library is not there.
    """
    if lacking := missing():
        print(f"The live page is left out: {lacking}")
        return None
    folder.mkdir()
    code = [(LIBRARY / name).read_text(encoding="utf-8") for name in CODE]
    worker = "\n".join([*code, (HERE / "worker.js").read_text(encoding="utf-8")])
    (folder / "worker.js").write_text(worker, encoding="utf-8")
    network = gzip.compress(packed() + (LIBRARY / WASM).read_bytes(), mtime=0)
    name = f"network-{hashlib.sha256(network).hexdigest()[:8]}.bin"  # another network, another name
    (folder / name).write_bytes(network)
    shutil.copy(CHELSEA, folder)
    drawn = [*(pets.draw_pet(9, name)[0] for name in ("cat", "dog")), ct.draw_slice(0, "COVID")[0]]
    for example, picture in zip(list(EXAMPLES)[1:], drawn, strict=True):
        Image.fromarray(picture).save(folder / example, optimize=True)
    return {
        "address": "live.html",
        "template": "live.html.j2",
        "title": "Live: a picture of yours",
        "short": "Live: a picture of yours",
        "network": f"live/{name}",
        "size": round(len(network) / 1e6),
        "examples": EXAMPLES,
        "techniques": {
            key: plotting.WORDS[key] for key in ("cam", "grad_cam", "saliency", "smoothgrad")
        },
        "inside": None,
    }


def alone(folder, live):
    """What live_offline.html has `inside`: texts, and addresses (data:) of what is no text."""
    texts = ("style.css", "theme.js", "paint.js", "live.js", "live/worker.js")
    found = {name: (folder / name).read_text(encoding="utf-8") for name in texts}
    for name in (live["network"], *(f"live/{example}" for example in live["examples"])):
        found[name] = f"data:;base64,{base64.b64encode((folder / name).read_bytes()).decode()}"
    return {"inside": found}


def missing():
    """Install the library if it is not there yet; a sentence on why that failed, or None."""
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    if all(_version(name) == version for name, version in wanted.items()):
        return None
    if not (npm := shutil.which("npm")):
        return (
            "it needs npm to get its library. Install Node.js (on Debian and Ubuntu: "
            "apt install npm), then run make site again."
        )
    done = subprocess.run([npm, *INSTALL], cwd=HERE, capture_output=True, text=True)
    if done.returncode:
        return (
            f"npm could not get its library ({(done.stderr.strip() or 'no reason given').splitlines()[0]}). "
            "Look at the network, then run make site again."
        )
    return None


def _version(name):
    """The version of a package of npm that is installed here, or None."""
    path = HERE / "node_modules" / name / "package.json"
    return json.loads(path.read_text())["version"] if path.exists() else None


def packed():
    """The pooling network as bytes: steps and biases of each layer, then the kernels in 8 bits."""
    with np.load(model.SHIPPED["gap"]) as stored:
        pairs = range(0, len(stored.files) // 2, 2)
        numbers = [stored[key] for i in pairs for key in (f"step_{i}", f"array_{i + 1}")]
        kernels = [stored[f"array_{i}"] for i in pairs]
    return b"".join(a.astype("<f4").tobytes() for a in numbers) + b"".join(
        a.tobytes() for a in kernels
    )
