"""The live page: what its template needs, and the files that it fetches.

`make` puts its library into node_modules/, from npm, in the versions of package.json. The page
stands twice in the site: live.html fetches what it needs, live_offline.html has all of it inside.
"""

import base64
import gzip
import hashlib
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image

from data.drawing import ct, pets
from utils import settings

HERE = Path(__file__).parent
LIBRARY = HERE / "node_modules" / "@tensorflow"
CODE = (
    "tfjs-core/dist/tf-core.es2017.min.js",
    "tfjs-backend-wasm/dist/tf-backend-wasm.es2017.min.js",
)
WASM = "tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm"
NETWORK = settings.ROOT / "data" / "vgg16_photographs_gap.npz"  # as utils.model.pack_weights writes
CHELSEA = resources.files("skimage") / "data" / "chelsea.png"
EXAMPLES = {  # file: what it shows, in English and in Portuguese
    "chelsea.png": ("a tabby cat", "uma gata malhada"),
    "cat.png": ("a drawn cat", "um gato desenhado"),
    "dog.png": ("its twin: a dog’s head", "seu gêmeo: cabeça de cachorro"),
    "slice.png": ("a slice of a lung: no pet", "um corte de pulmão: nenhum animal"),
}
MISSING = (
    "The live page is left out, as its library is not here: install npm (on Debian and Ubuntu: "
    "apt install npm), see that there is a network, and run make site again."
)


def page(folder):
    """What the template needs, as a dict; the page's files are written into `folder`.

    None, and a sentence that says so, where the library is missing.
    """
    if not (LIBRARY / WASM).exists():
        print(MISSING)
        return None
    folder.mkdir()
    worker = "\n".join(
        path.read_text() for path in (*map(LIBRARY.joinpath, CODE), HERE / "worker.js")
    )
    (folder / "worker.js").write_text(worker, encoding="utf-8")
    network = gzip.compress(packed() + (LIBRARY / WASM).read_bytes(), mtime=0)
    name = f"live/network-{hashlib.sha256(network).hexdigest()[:8]}.bin"
    (folder.parent / name).write_bytes(network)
    shutil.copy(HERE / "live.js", folder.parent)
    shutil.copy(CHELSEA, folder)
    for species in ("cat", "dog"):
        Image.fromarray(pets.draw_pet(9, species)[0]).save(folder / f"{species}.png")
    Image.fromarray(ct.draw_slice(0, "COVID")[0]).save(folder / "slice.png")
    return {
        "address": "live.html",
        "title": "Live: a picture of yours",
        "action": "Try a picture of yours",
        "network": name,
        "size": round(len(network) / 1e6),
        "examples": EXAMPLES,
    }


def packed():
    """The pooling network as bytes: steps and biases of each layer, then the kernels in 8 bits."""
    with np.load(NETWORK) as stored:
        pairs = range(0, len(stored.files) // 2, 2)
        numbers = [stored[key] for i in pairs for key in (f"step_{i}", f"array_{i + 1}")]
        kernels = [stored[f"array_{i}"] for i in pairs]
    return b"".join(array.tobytes() for array in numbers + kernels)


def inside(folder, live):
    """What live_offline.html has inside: texts, and addresses (data:) of what is no text."""
    texts = ("style.css", "live.js", "live/worker.js")
    found = {name: (folder / name).read_text(encoding="utf-8") for name in texts}
    for name in (live["network"], *(f"live/{example}" for example in EXAMPLES)):
        found[name] = f"data:;base64,{base64.b64encode((folder / name).read_bytes()).decode()}"
    return found
