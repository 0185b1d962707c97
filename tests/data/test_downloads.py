"""Downloads from a local server that misbehaves, and archives that do too."""

import hashlib
import sys
import tarfile
import threading
import zipfile
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import Mock

import pytest
import requests

from data import downloads
from data.downloads import fetch, fetch_from_kaggle, unpack
from tests.data.conftest import tarred, unpack_by_hand, zipped
from utils import settings
from utils.files import DataError

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class FileServer(BaseHTTPRequestHandler):
    """Gives CONTENT away; each word in the path makes it misbehave."""

    requests = []

    def do_GET(self):
        first = self.path not in [path for path, _ in self.requests]
        self.requests.append((self.path, self.headers["Range"]))
        if "busy" in self.path and first:
            return self.answer(503)
        if "gone" in self.path:
            return self.answer(404)
        if "wrong" in self.path:
            return self.answer(200, CONTENT[::-1])
        if ("cut" in self.path and first) or "short" in self.path:
            return self.answer(200, CONTENT[:5000], len(CONTENT))
        if "whole" in self.path:
            return self.answer(200, CONTENT)
        return self.answer(206, CONTENT[int(self.headers["Range"][6:-1]) :])

    def answer(self, status, body=b"", length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        with suppress(ConnectionError):  # who asked has given up
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), FileServer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(autouse=True)
def hurry(monkeypatch, tmp_path):
    monkeypatch.setattr(downloads, "PAUSES", (0, 0))
    monkeypatch.setattr(downloads, "CHUNK", 1000)
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    FileServer.requests.clear()


def get(url, path):
    return fetch(url, path, size=len(CONTENT), sha256=SHA256)


def ranges():
    return [asked for _, asked in FileServer.requests]


@pytest.mark.parametrize("name", ["plain.zip", "busy.zip", "cut.zip", "cut-then-whole.zip"])
def test_a_download_ends_in_the_very_file_and_nothing_else(server, tmp_path, name):
    get(f"{server}/{name}", tmp_path / name)
    assert (tmp_path / name).read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_cut_connection_is_resumed_where_it_broke(server, tmp_path):
    get(f"{server}/cut.zip", tmp_path / "a.zip")
    assert ranges() == ["bytes=0-", "bytes=5000-"]


def test_a_later_run_goes_on_from_the_part_of_an_earlier_one(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:7000])
    get(f"{server}/plain.zip", tmp_path / "a.zip")
    assert ranges() == ["bytes=7000-"] and (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong.zip", "not the file expected"),
        ("gone.zip", "does not give .*/gone.zip away .error 404"),
        ("short.zip", "failed 2 times: there is no connection, or it broke off"),
    ],
)
def test_what_goes_wrong_is_said_and_no_file_appears(server, tmp_path, name, message):
    with pytest.raises(DataError, match=message):
        get(f"{server}/{name}", tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_no_network_is_said_and_the_part_is_kept(tmp_path):
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:7000])
    with pytest.raises(DataError, match="no connection.*What arrived is kept"):
        get("http://127.0.0.1:9/a.zip", tmp_path / "a.zip")
    assert (tmp_path / "a.zip.part").read_bytes() == CONTENT[:7000]


# ---------------------------------------------------------------------------------------- Kaggle


@pytest.fixture
def kaggle(monkeypatch):
    """A stand-in for the kaggle package's client, which sends a zip file."""

    def download(slug, path, quiet):
        (Path(path) / f"{slug.split('/')[-1]}.zip").write_bytes(zipped({"train.zip": b"x"}))

    api = Mock()
    api.authenticate.side_effect = lambda: print("a page of help")
    api.competition_download_files.side_effect = download
    api.dataset_download_files.side_effect = download
    monkeypatch.setitem(sys.modules, "kaggle", Mock(api=api))
    return api


def answer(status):
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(response=response)


def test_a_competition_comes_as_a_zip_file_and_kaggles_help_is_not_shown(kaggle, tmp_path, capsys):
    assert fetch_from_kaggle("dogs-vs-cats", tmp_path) == tmp_path / "dogs-vs-cats.zip"
    assert capsys.readouterr().out == ""


def test_a_data_set_needs_no_account(kaggle, tmp_path):
    kaggle.authenticate.side_effect = SystemExit(1)
    assert fetch_from_kaggle("owner/slices", tmp_path) == tmp_path / "slices.zip"


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (answer(401), r"refused the credentials \(401\).*Create a token"),
        (answer(403), r"rules accepted first \(403\).*kaggle.com/c/dogs-vs-cats/rules"),
        (answer(404), r"no competition named dogs-vs-cats \(404\)"),
        (answer(503), r"in trouble \(error 503\)"),
        (requests.ConnectionError(), "no connection to Kaggle"),
    ],
)
def test_each_answer_of_kaggle_has_its_own_sentence(kaggle, tmp_path, raised, message):
    kaggle.competition_download_files.side_effect = raised
    with pytest.raises(DataError, match=message):
        fetch_from_kaggle("dogs-vs-cats", tmp_path)


@pytest.mark.parametrize("exit", [SystemExit(1), NameError("name 'exit' is not defined")])
def test_no_account_is_said(kaggle, tmp_path, exit):
    kaggle.authenticate.side_effect = exit
    with pytest.raises(DataError, match="needs an account.*kaggle.com/settings"):
        fetch_from_kaggle("dogs-vs-cats", tmp_path)


def test_what_is_no_zip_file_is_thrown_away(kaggle, tmp_path):
    html = tmp_path / "dogs-vs-cats.zip"
    kaggle.competition_download_files.side_effect = lambda *_, **__: html.write_bytes(b"<html>")
    with pytest.raises(DataError, match="no zip file"):
        fetch_from_kaggle("dogs-vs-cats", tmp_path)
    assert not html.exists()


# ------------------------------------------------------------------------------------- unpacking


PICTURES = {f"train/{label}.{k}.jpg": f"{label} {k}".encode() * 50
            for label in ("cat", "dog") for k in range(4)}  # fmt: skip
PACKED = {
    "a zip": zipped,
    "a zip in a zip": lambda files: zipped({"train.zip": zipped(files), "test1.zip": b"x"}),
    "a tar": tarred,
    "a compressed tar": lambda files: tarred({f"./{name}": files[name] for name in files}, "w:gz"),
}


@pytest.fixture
def source(tmp_path):
    return tmp_path / "archive"


def unpacked(source):
    """Unpack the pictures of an archive to new/; what is there then."""
    folder = source.parent / "new"
    names = unpack(source, folder, lambda paths: {p: p[6:] for p in paths if p.endswith("jpg")})
    assert sorted(names) == sorted(path.name for path in folder.iterdir())
    return {f"train/{name}": (folder / name).read_bytes() for name in names}


@pytest.mark.parametrize("kind", PACKED)
def test_what_is_chosen_comes_out_of_every_kind_of_archive_and_nothing_else(source, kind):
    source.write_bytes(PACKED[kind](PICTURES | {"readme.txt": b"x", "train/Thumbs.db": b"x"}))
    assert unpacked(source) == PICTURES


def test_a_folder_is_taken_like_an_archive(source):
    unpack_by_hand(source, PICTURES)
    assert unpacked(source) == PICTURES


def test_unpacking_again_writes_only_what_is_missing_or_wrong(source, tmp_path):
    source.write_bytes(zipped(PICTURES))
    unpacked(source)
    before = {path.name: path.stat().st_ino for path in (tmp_path / "new").iterdir()}
    (tmp_path / "new/cat.1.jpg").unlink()
    (tmp_path / "new/dog.1.jpg").write_bytes(b"half")
    assert unpacked(source) == PICTURES
    after = {path.name: path.stat().st_ino for path in (tmp_path / "new").iterdir()}
    assert {name for name in after if after[name] != before[name]} <= {"cat.1.jpg", "dog.1.jpg"}


NAMES = ["../cat.9.jpg", "/cat.9.jpg", "a/../../cat.9.jpg", "C:\\cat.9.jpg", "a\\..\\cat.9.jpg"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["a zip", "a zip in a zip", "a tar"])
def test_a_member_that_wants_out_of_the_folder_is_refused(source, tmp_path, kind, name):
    source.write_bytes(PACKED[kind](PICTURES | {name: b"x"}))
    with pytest.raises(DataError, match="not safe to unpack"):
        unpacked(source)
    assert not (tmp_path / "new").exists()


def test_a_symbolic_link_in_a_zip_is_refused(source):
    with zipfile.ZipFile(source, "w") as file:
        link = zipfile.ZipInfo("train/cat.0.jpg")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="not safe to unpack"):
        unpacked(source)


@pytest.mark.parametrize("link", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_tar_that_holds_more_than_files_is_refused(source, link):
    source.write_bytes(tarred(PICTURES, link=link))
    with pytest.raises(DataError, match="not safe to unpack"):
        unpacked(source)


def test_a_member_larger_than_any_picture_is_refused(source, monkeypatch):
    monkeypatch.setattr(downloads, "MAX_BYTES", 1000)
    source.write_bytes(zipped({"train/cat.0.jpg": bytes(1001)}))
    with pytest.raises(DataError, match="refused"):
        unpacked(source)


@pytest.mark.parametrize("kept", [0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", PACKED)
def test_a_truncated_archive_is_called_damaged(source, kind, kept):
    content = PACKED[kind](PICTURES).rstrip(b"\0")
    source.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match="damaged or not downloaded to its end|not complete"):
        unpacked(source)


def test_damage_in_the_middle_of_a_zip_is_found_and_the_damaged_picture_not_written(
    source, tmp_path
):
    source.write_bytes(zipped(PICTURES).replace(b"dog 2dog 2", b"DOG 2dog 2", 1))
    with pytest.raises(DataError, match="damaged"):
        unpacked(source)
    assert not (tmp_path / "new/dog.2.jpg").exists()


def test_another_archive_is_called_that(source, tmp_path):
    source.write_bytes(tarred({"b.txt": b"x"}))
    with pytest.raises(DataError, match="holds none of the pictures: it is another archive"):
        unpacked(source)
    with pytest.raises(DataError, match="has no list.txt: it is another archive"):
        unpack(source, tmp_path / "new", lambda _: {"list.txt": "list.txt"})
