"""Downloads from local servers that misbehave, archives that do too. Nothing leaves the machine."""

import base64
import errno
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from utils import downloads, settings
from utils.downloads import DataError, extract, fetch, unpack
from utils.files import DiskFull

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PATTERNS = [r"(?:.*/)?(?P<label>cat|dog)\.(?P<number>[0-9]+)\.(?P<kind>jpg)"]
CLASSES = ("cat", "dog")
DATE = "Fri, 20 Sep 2013 00:00:00 GMT"


@contextmanager
def serving(handler):
    """A server on loopback; yields its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Quiet(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in ({"Content_Length": len(body)} | headers).items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)


# -------------------------------------------------------------------------------------- fetching


class FileServer(Quiet):
    """Gives CONTENT away; each word in the path makes it misbehave."""

    requests = []

    def do_GET(self):
        first = self.path not in [path for path, _ in self.requests]
        self.requests.append((self.path, self.headers.get("Range")))
        etag = '"new"' if "changed" in self.path and not first else '"one"'
        if "busy" in self.path and first:
            return self.answer(503)
        if "gone" in self.path or "secret" in self.path:
            return self.answer(404 if "gone" in self.path else 403)
        if "slow" in self.path:
            time.sleep(0.5)
        if "wrong" in self.path:
            return self.answer(200, CONTENT[::-1])
        if "long" in self.path:
            return self.answer(200, CONTENT + b"more")
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        if start and self.headers.get("If-Range") != etag:
            start = 0
        if ("cut" in self.path and first) or "short" in self.path:
            return self.answer(200, CONTENT[:5000], Content_Length=len(CONTENT), ETag=etag)
        return self.answer(206 if start else 200, CONTENT[start:], ETag=etag)


@pytest.fixture(scope="module")
def server():
    with serving(FileServer) as url:
        yield url


@pytest.fixture(autouse=True)
def hurry(monkeypatch, tmp_path):
    monkeypatch.setattr(downloads, "PAUSE", 0)
    monkeypatch.setattr(downloads, "CHUNK", 1000)
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    FileServer.requests.clear()


def get(url, path):
    return fetch(url, path, size=len(CONTENT), sha256=SHA256)


def asked():
    return [asked for _, asked in FileServer.requests]


@pytest.mark.parametrize("name", ["plain.zip", "busy.zip", "cut.zip", "cut-and-changed.zip"])
@pytest.mark.fault("a server: {name}", "the very file in the end, and nothing beside it")
def test_a_download_ends_in_the_very_file_and_nothing_else(server, tmp_path, name):
    get(f"{server}/{name}", tmp_path / name)
    assert (tmp_path / name).read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.fault("a connection cut midway", "goes on where it broke")
def test_a_cut_connection_is_resumed_where_it_broke(server, tmp_path):
    get(f"{server}/cut.zip", tmp_path / "a.zip")
    assert asked() == [None, "bytes=5000-"]


@pytest.mark.fault("a run that ended midway in a download", "the next goes on from there")
def test_a_later_run_goes_on_from_the_part_of_an_earlier_one(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:7000])
    (tmp_path / "a.zip.part.etag").write_text('"one"')
    get(f"{server}/plain.zip", tmp_path / "a.zip")
    assert asked() == ["bytes=7000-"] and (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.fault("a stale part of another version of the file", "is not continued", "the part")
def test_a_part_of_another_version_is_not_continued(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(b"x" * 7000)
    (tmp_path / "a.zip.part.etag").write_text('"old"')
    get(f"{server}/plain.zip", tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong.zip", "not the file expected"),
        ("long.zip", "not the file expected"),
        ("gone.zip", "error 404"),
        ("secret.zip", "error 403"),
        ("short.zip", "broke off"),
    ],
)
@pytest.mark.fault("a server's answer: {name}", "is said, and no file appears", "the download")
def test_what_goes_wrong_is_said_and_no_file_appears(server, tmp_path, name, message):
    with pytest.raises(DataError, match=message):
        get(f"{server}/{name}", tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.fault("no network", "is said, and the part is kept")
def test_no_network_is_said_and_the_part_is_kept(tmp_path):
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:7000])
    with pytest.raises(DataError, match="no connection.*What arrived is kept"):
        get("http://127.0.0.1:9/a.zip", tmp_path / "a.zip")
    assert (tmp_path / "a.zip.part").read_bytes() == CONTENT[:7000]


@pytest.mark.fault("a server that does not answer in time", "is said", "the download")
def test_a_server_without_an_answer_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", (1, 0.02))
    monkeypatch.setattr(downloads, "ATTEMPTS", 2)
    with pytest.raises(DataError, match="failed 2 times: there is no connection"):
        get(f"{server}/slow.zip", tmp_path / "a.zip")


@pytest.mark.fault("a disk full in a download", "is said", "the step")
def test_a_full_disk_is_said(server, tmp_path, monkeypatch):
    def full(url, part, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(downloads, "_continue", full)
    with pytest.raises(DiskFull, match="disk is full"):
        get(f"{server}/plain.zip", tmp_path / "a.zip")


# ---------------------------------------------------------------------------------------- Kaggle


def zipped(files):
    """The bytes of a zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


BLOB = zipped({"train.zip": bytes(9000)})


class KaggleServer(Quiet):
    """The kaggle client's protocol, met as an HTTP proxy; the user's name chooses what happens."""

    refused = {
        "rules": (403, "You must accept this competition's rules"),
        "wrong": (401, "Unauthenticated"),
        "lost": (404, "Not found"),
        "busy": (503, "Unavailable"),
    }
    cut = []

    def user(self):
        kind, _, secret = self.headers.get("Authorization", "").partition(" ")
        return base64.b64decode(secret).decode().split(":")[0] if kind == "Basic" else "wrong"

    def do_POST(self):
        asked = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "IntrospectToken" in self.path:
            return self.say(200, {"active": False})
        if "DownloadDataset" in self.path and b"owner" in asked and b"lost" not in asked:
            return self.answer(302, Location="http://localhost/blob/nobody/slices.zip")
        if self.user() in self.refused:
            code, message = self.refused[self.user()]
            return self.say(code, {"code": code, "message": message})
        url = f"http://localhost/blob/{self.user()}/dogs-vs-cats.zip"
        return self.answer(302, Location=url)

    def do_GET(self):
        body = b"<html>" if "html" in self.path else BLOB
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        known = {"ETag": '"one"', "Last_Modified": DATE, "Accept_Ranges": "bytes"}
        if "cut" in self.path and not self.cut:
            self.cut.append(True)
            return self.answer(200, body[:4000], Content_Length=len(body), **known)
        return self.answer(206 if start else 200, body[start:], **known)

    def say(self, status, message):
        self.answer(status, json.dumps(message).encode(), Content_Type="application/json")


ASK = """
import builtins, functools, json, os, sys, traceback
from pathlib import Path
import kagglesdk
from utils import downloads

downloads._watched = functools.partial(downloads._watched, every=3600)  # however slow it is here

def ask(account, home):
    slug = account.pop("SLUG", "dogs-vs-cats")
    os.environ.update(account, HOME=str(home))
    try:
        archive = downloads.fetch_from_kaggle(slug, home / "data")
        print("fetched", archive.name, archive.stat().st_size)
    except downloads.DataError as error:
        print("DataError:", error)
        if "s3cret-key" in traceback.format_exc():
            print("and the traceback tells the key")

del builtins.exit  # as in a notebook
for k, account in enumerate(json.loads(sys.argv[1])):
    home = Path(sys.argv[2]) / str(k)
    home.mkdir()
    if account.pop("loose", None):
        (home / ".kaggle").mkdir()
        (home / ".kaggle/kaggle.json").write_text('{"username": "good", "key": "s3cret-key"}')
        (home / ".kaggle/kaggle.json").chmod(0o644)
    if os.fork() == 0:  # kaggle looks at the variables once, when it is imported
        os.dup2(os.open(home / "said", os.O_WRONLY | os.O_CREAT), 1)
        os.dup2(1, 2)
        ask(account, home)
        sys.stdout.flush()
        os._exit(0)
for _ in range(k + 1):
    os.wait()
"""
KEY = "s3cret-key"
ACCOUNTS = {  # the variables that a user may have set
    **{
        name: {"KAGGLE_USERNAME": name, "KAGGLE_KEY": KEY}
        for name in ("good", "rules", "wrong", "lost", "busy", "html", "cut")
    },
    "nobody": {},
    "loose kaggle.json": {"loose": "yes"},
    "bad token": {"KAGGLE_API_TOKEN": KEY},
    "stray token": {"KAGGLE_API_TOKEN": KEY, "KAGGLE_USERNAME": "good", "KAGGLE_KEY": KEY},
    "offline": {
        "KAGGLE_USERNAME": "good",
        "KAGGLE_KEY": KEY,
        "http_proxy": "http://127.0.0.1:9",
    },
    "offline token": {"KAGGLE_API_TOKEN": KEY, "http_proxy": "http://127.0.0.1:9"},
    "data set": {"SLUG": "owner/slices"},
    "lost data set": {"SLUG": "owner/lost", "KAGGLE_USERNAME": "lost", "KAGGLE_KEY": KEY},
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What fetch_from_kaggle says to each account, asked in processes of their own."""
    root, home = Path(downloads.__file__).parents[1], tmp_path_factory.mktemp("homes")
    with serving(KaggleServer) as url:
        variables = {"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "http_proxy": url, "no_proxy": ""}
        variables |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(root)}
        accounts = json.dumps(list(ACCOUNTS.values()))
        ask = [sys.executable, "-c", ASK, accounts, home]
        subprocess.run(ask, env=variables, check=True, timeout=60)
    return {name: (home / str(k) / "said").read_text() for k, name in enumerate(ACCOUNTS)}


@pytest.mark.parametrize(
    ("account", "message"),
    [
        ("good", f"fetched dogs-vs-cats.zip {len(BLOB)}"),
        ("cut", f"fetched dogs-vs-cats.zip {len(BLOB)}"),
        ("html", "DataError: What Kaggle sent is no zip file"),
        ("rules", "DataError: Kaggle wants the competition's rules accepted first (403)"),
        ("wrong", "DataError: Kaggle refused the credentials (401)"),
        ("lost", "DataError: Kaggle knows no competition named dogs-vs-cats (404)"),
        ("busy", "DataError: Kaggle is in trouble (error 503)"),
        ("nobody", "DataError: Kaggle needs an account, and no credentials were found"),
        ("bad token", "KAGGLE_API_TOKEN is set and goes before every file"),
        ("stray token", "KAGGLE_API_TOKEN is set and goes before every file"),
        ("offline", "DataError: There is no connection to Kaggle"),
        ("offline token", "DataError: There is no connection to Kaggle"),
    ],
)
@pytest.mark.fault("Kaggle, account: {account}", "one line that says what, or the file")
def test_each_answer_of_kaggle_has_its_own_message(told, account, message):
    assert message in told[account]
    assert told[account].count("\n") == 1, "one line, and none of the package's own"


@pytest.mark.fault("a kaggle.json that others can read", "is pointed out, and used")
def test_a_kaggle_json_that_others_can_read_is_pointed_out(told):
    assert told["loose kaggle.json"].splitlines() == [
        "Other users of this machine can read your kaggle.json: chmod 600 it.",
        f"fetched dogs-vs-cats.zip {len(BLOB)}",
    ]


def test_a_data_set_needs_no_account(told):
    assert told["data set"].splitlines() == [
        "Dataset URL: https://www.kaggle.com/datasets/owner/slices",
        f"fetched slices.zip {len(BLOB)}",
    ]
    assert "Kaggle knows no data set named owner/lost (404)" in told["lost data set"]


@pytest.mark.fault("credentials, whatever Kaggle answers", "are in no output and no traceback")
def test_credentials_are_never_printed(told):
    assert not any(KEY in text for text in told.values())


# ------------------------------------------------------------------------------------- unpacking


def pictures(count=4):
    return {f"train/{label}.{k}.jpg": f"{label} {k}".encode() * 50
            for label in ("cat", "dog") for k in range(count)}  # fmt: skip


def archive(path, files):
    path.write_bytes(zipped(files))
    return path


def test_only_the_pictures_come_out_of_a_zip(tmp_path):
    others = {"readme.txt": b"x", "train/Thumbs.db": b"x", "__MACOSX/train/._cat.0.jpg": b"x"}
    source = archive(tmp_path / "a.zip", pictures() | others)
    names = unpack(source, tmp_path / "train", PATTERNS, CLASSES)
    assert names == [f"{label}.{k}.jpg" for label in ("cat", "dog") for k in range(4)]
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == names
    assert (tmp_path / "train/dog.3.jpg").read_bytes() == pictures()["train/dog.3.jpg"]


@pytest.mark.fault("a zip in a zip", "is unpacked like a plain one")
def test_a_zip_in_a_zip_and_a_folder_give_the_same(tmp_path):
    outer = archive(tmp_path / "a.zip", {"train.zip": zipped(pictures()), "test1.zip": b"x"})
    for name, content in pictures().items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    names = unpack(outer, tmp_path / "b", PATTERNS, CLASSES)
    assert names == unpack(tmp_path / "in", tmp_path / "c", PATTERNS, CLASSES)
    for name in names:
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "c" / name).read_bytes()


def test_a_limit_takes_the_first_of_each_class_in_natural_order(tmp_path):
    source = archive(tmp_path / "a.zip", {f"cat.{k}.jpg": b"x" for k in (10, 9, 100)})
    names = unpack(source, tmp_path / "train", PATTERNS, CLASSES, limit=2)
    assert names == ["cat.9.jpg", "cat.10.jpg"]


@pytest.mark.parametrize(
    "name", ["../cat.9.jpg", "/cat.9.jpg", "a/../../cat.9.jpg", "C:\\cat.9.jpg"]
)
@pytest.mark.fault("a zip with a member {name}", "is refused, nothing is written", "the archive")
def test_a_member_that_wants_out_of_the_folder_is_refused(tmp_path, name):
    source = archive(tmp_path / "a.zip", pictures() | {name: b"x"})
    with pytest.raises(DataError, match="not safe to unpack"):
        unpack(source, tmp_path / "train", PATTERNS, CLASSES)
    assert not (tmp_path / "train").exists()


@pytest.mark.fault("a zip with a symbolic link", "is refused", "the archive")
def test_a_symbolic_link_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        link = zipfile.ZipInfo("train/cat.0.jpg")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="not safe to unpack"):
        unpack(tmp_path / "a.zip", tmp_path / "train", PATTERNS, CLASSES)


@pytest.mark.fault("a zip bomb", "is refused", "the archive")
def test_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "MAX_BYTES", 1000)
    source = archive(tmp_path / "a.zip", {"cat.0.jpg": bytes(1001)})
    with pytest.raises(DataError, match="refused"):
        unpack(source, tmp_path / "train", PATTERNS, CLASSES)


@pytest.mark.fault("a zip bomb that lies about its size", "is called damaged", "the archive")
def test_a_bomb_that_lies_about_its_size_is_not_read_beyond_it(tmp_path):
    content = bytearray(zipped({"cat.0.jpg": bytes(10**6)}))
    for signature, at in ((b"PK\3\4", 22), (b"PK\1\2", 24)):  # the sizes in its two headers
        place = content.index(signature) + at
        content[place : place + 4] = (100).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        unpack(tmp_path / "a.zip", tmp_path / "train", PATTERNS, CLASSES)
    assert not list((tmp_path / "train").iterdir())


@pytest.mark.fault("a zip with a password", "is refused and said why", "the archive")
def test_a_zip_with_a_password_is_refused(tmp_path):
    content = bytearray(zipped({"cat.0.jpg": b"x"}))
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the flags in its two headers
        content[content.index(signature) + at] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match="locked with a password"):
        unpack(tmp_path / "a.zip", tmp_path / "train", PATTERNS, CLASSES)


@pytest.mark.fault("a disk that fills up while unpacking", "is said; no half picture", "the step")
def test_a_disk_that_fills_up_while_unpacking_leaves_whole_pictures_only(tmp_path, monkeypatch):
    write, left = Path.write_bytes, [3]

    def filling(path, content):
        left[0] -= 1
        if left[0] < 0:
            write(path, content[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    source = archive(tmp_path / "a.zip", pictures())
    monkeypatch.setattr(Path, "write_bytes", filling)
    with pytest.raises(DiskFull, match="Make room, then run this again"):
        unpack(source, tmp_path / "train", PATTERNS, CLASSES)
    written = {path.name: path.read_bytes() for path in (tmp_path / "train").iterdir()}
    assert written == {f"cat.{k}.jpg": pictures()[f"train/cat.{k}.jpg"] for k in range(3)}


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.fault("a truncated zip (in another zip: {nested})", "is called damaged", "the archive")
def test_a_truncated_zip_is_called_damaged(tmp_path, kept, nested):
    content = zipped(pictures())
    content = content[: int(kept if kept > 1 else kept * len(content))]
    source = tmp_path / "a.zip"
    source.write_bytes(zipped({"train.zip": content}) if nested else content)
    with pytest.raises(DataError, match="damaged or not downloaded to its end"):
        unpack(source, tmp_path / "train", PATTERNS, CLASSES)


@pytest.mark.fault(
    "a zip damaged in the middle", "the damaged picture is not written", "the archive"
)
def test_damage_in_the_middle_is_found_and_the_damaged_picture_not_written(tmp_path):
    content = zipped(pictures())
    at = content.index(b"dog 2dog 2")
    (tmp_path / "a.zip").write_bytes(content[:at] + b"DOG" + content[at + 3 :])
    with pytest.raises(DataError, match="damaged"):
        unpack(tmp_path / "a.zip", tmp_path / "train", PATTERNS, CLASSES)
    assert not (tmp_path / "train/dog.2.jpg").exists()


@pytest.mark.fault("another archive", "is called that", "the archive")
def test_another_archive_is_called_that(tmp_path):
    with pytest.raises(DataError, match="holds none of the pictures"):
        unpack(archive(tmp_path / "a.zip", {"b.txt": b"x"}), tmp_path / "train", PATTERNS, CLASSES)


@pytest.mark.fault(
    "a disk too small for the pictures", "is said before anything is written", "the step"
)
def test_too_little_room_is_said_before_anything_is_written(tmp_path, monkeypatch):
    source = archive(tmp_path / "a.zip", pictures())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 10))
    with pytest.raises(DiskFull, match="disk is full: train could not"):
        unpack(source, tmp_path / "train", PATTERNS, CLASSES)
    assert not list((tmp_path / "train").iterdir())


@pytest.mark.fault(
    "a picture lost and one cut short after unpacking", "are written again, and only they"
)
def test_unpacking_again_writes_only_what_is_missing_or_wrong(tmp_path):
    source, folder = archive(tmp_path / "a.zip", pictures()), tmp_path / "train"
    unpack(source, folder, PATTERNS, CLASSES)
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    (folder / "cat.1.jpg").unlink()
    (folder / "dog.1.jpg").write_bytes(b"half")
    unpack(source, folder, PATTERNS, CLASSES)
    after = {path.name: path.stat().st_ino for path in folder.iterdir()}
    assert (folder / "dog.1.jpg").read_bytes() == pictures()["train/dog.1.jpg"]
    assert {name for name in after if after[name] != before[name]} <= {"cat.1.jpg", "dog.1.jpg"}


# --------------------------------------------------------------------------- out of a tar file


TREE = {f"tree/leaf.{k}": b"leaf" * 100 for k in range(4)}  # two blocks of 512 bytes each


def tarred(path, files, mode="w", **entry):
    """A tar file of a folder, of these files, and of one entry more if that is described."""
    with tarfile.open(path, mode) as archive:
        archive.addfile(described("tree", type=tarfile.DIRTYPE))
        for name, content in files.items():
            archive.addfile(described(name, size=len(content)), io.BytesIO(content))
        if entry:
            archive.addfile(described(**{"name": "tree/last"} | entry))
    return path


def described(name, **fields):
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_what_is_asked_for_comes_out_of_a_tar_compressed_or_not(tmp_path, mode):
    source = tarred(tmp_path / "a.tar.gz", TREE | {"tree/._leaf.1": b"macOS"}, mode)
    extract(source, tmp_path / "out", ["tree/leaf.1"], optional=["tree/leaf.3", "tree/leaf.9"])
    written = sorted(path.name for path in (tmp_path / "out/tree").iterdir())
    assert written == ["leaf.1", "leaf.3"]
    assert (tmp_path / "out/tree/leaf.3").read_bytes() == TREE["tree/leaf.3"]


def test_names_that_begin_with_the_folder_itself_are_known_too(tmp_path):
    source = tarred(tmp_path / "a.tar", {"./tree/leaf.1": b"x"})
    extract(source, tmp_path / "out", ["tree/leaf.1"])
    assert (tmp_path / "out/tree/leaf.1").read_bytes() == b"x"


@pytest.mark.fault(
    "a tar that lacks a file", "is called another archive, nothing is written", "the archive"
)
def test_a_tar_without_what_is_asked_for_is_another_archive(tmp_path):
    source = tarred(tmp_path / "a.tar", TREE)
    with pytest.raises(DataError, match="has no tree/bud: it is another archive"):
        extract(source, tmp_path / "out", ["tree/leaf.1", "tree/bud"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "../leaf.9"},
        {"name": "/leaf.9"},
        {"name": "tree/../../leaf.9"},
        {"name": "C:\\leaf.9"},
        {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.LNKTYPE, "linkname": "tree/leaf.1"},
        {"type": tarfile.FIFOTYPE},
    ],
)
@pytest.mark.fault("a tar with an entry {entry}", "is refused, nothing is written", "the archive")
def test_a_tar_that_wants_out_of_the_folder_or_holds_more_than_files_is_refused(tmp_path, entry):
    source = tarred(tmp_path / "a.tar", TREE, **entry)
    with pytest.raises(DataError, match="not safe to unpack"):
        extract(source, tmp_path / "out", ["tree/leaf.1"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("kept", [0, 0.1, 0.5, 0.9])
@pytest.mark.fault("a truncated tar, written with {mode}", "is called damaged", "the archive")
def test_a_truncated_tar_is_called_damaged(tmp_path, mode, kept):
    source = tarred(tmp_path / "a.tar.gz", TREE, mode)
    content = source.read_bytes().rstrip(b"\0")
    source.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match="damaged or not downloaded to its end"):
        extract(source, tmp_path / "out", ["tree/leaf.1"])


@pytest.mark.fault("a tar cut off between two files", "is called damaged", "the archive")
def test_a_tar_cut_off_between_two_files_is_called_damaged(tmp_path):
    source = tarred(tmp_path / "a.tar", TREE)
    source.write_bytes(source.read_bytes()[: (1 + 3 * 2) * 512])  # the folder and three files
    with pytest.raises(DataError, match="its end is missing"):
        extract(source, tmp_path / "out", ["tree/leaf.0"])
