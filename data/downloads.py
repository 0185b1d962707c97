"""Files from the web, pictures out of archives: whole or not at all, and a sentence when it fails.

Knows how to fetch and to unpack, and nothing of what the pictures are for.
"""

import gzip
import hashlib
import io
import re
import stat
import tarfile
import time
import zipfile
import zlib
from collections import namedtuple
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path, PurePosixPath

import requests

from data.images import MAX_BYTES
from utils.files import DataError, progress, shown, whole

PAUSES = (0, 2, 4, 8, 16)  # seconds before each attempt
TIMEOUT = (10, 60)  # seconds: to connect, and without a single byte
CHUNK = 2**20
KAGGLE = "https://www.kaggle.com"
TOKEN = (
    f"Create a token on {KAGGLE}/settings, save it as ~/.kaggle/access_token (or run `kaggle auth "
    "login`), then run this again. The variable KAGGLE_API_TOKEN, if it is set, goes before."
)
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)
ANOTHER = "it is another archive, or not complete"

Member = namedtuple("Member", "size open link")


def natural(name):
    """A key that sorts cat.2 before cat.10."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split("([0-9]+)", name))]


def fetch(url, path, *, size, sha256):
    """Download a file to `path`, which appears only when its SHA-256 is right.

    What arrived is kept beside it as .part, and the next attempt, or the next run, goes on from
    there. size: in bytes. Raises DataError.
    """
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    for pause in PAUSES:
        time.sleep(pause)
        try:
            _continue(url, part, size)
            return _accept(part, path, sha256)
        except requests.RequestException as error:
            failure = _reason(error, url)
            print(f"{path.name}: {failure}.", flush=True)
    raise DataError(
        f"The download of {url} failed {len(PAUSES)} times: {failure}. What arrived is kept: run "
        "this again to go on from there."
    )


def _continue(url, part, size):
    """Append to `part` what the server has beyond it, or write it anew if it sends the whole."""
    have = part.stat().st_size if part.exists() else 0
    if have >= size:
        return
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={have}-"}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        response.raise_for_status()
        have = have if response.status_code == 206 else 0
        with part.open("ab" if have else "wb") as file:
            chunks = response.iter_content(CHUNK)
            label = f"Downloading {part.stem} (MB)"
            for chunk in progress(chunks, label, total=-(-(size - have) // CHUNK)):
                file.write(chunk)


def _reason(error, url):
    """Why another attempt is needed, in a few words; DataError where none will help."""
    if error.response is None:
        return "there is no connection, or it broke off"
    status = error.response.status_code
    if status < 500 and status != 429:
        raise DataError(f"The server does not give {url} away (error {status}).") from None
    return f"the server answered with error {status}"


def _accept(part, path, sha256):
    """Move a finished download into place, or throw it away when it is not the file expected."""
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        part.unlink()
        raise DataError(
            f"The downloaded {path.name} is not the file expected (its checksum differs) and was "
            "thrown away. Run this again."
        )
    return part.replace(path)


def fetch_from_kaggle(slug, folder):
    """Download all files of a competition, or of a data set, as <folder>/<name>.zip.

    slug: the competition's name, or the data set's with its owner's, <owner>/<name>; a data set
    needs no account. A download that was cut off goes on where it stopped. Raises DataError.
    """
    archive = Path(folder) / f"{slug.split('/')[-1]}.zip"
    try:
        _kaggle_download(slug)(slug, path=str(folder), quiet=True)
    except (SystemExit, NameError):  # its exit(1), which a notebook does not know
        raise DataError(f"Kaggle needs an account, and no valid token was found. {TOKEN}") from None
    except requests.HTTPError as error:
        raise DataError(_answer(error.response.status_code, slug)) from None
    except (requests.RequestException, ValueError):
        raise DataError(
            "There is no connection to Kaggle, or it broke off: check the network and its proxy, "
            "then run this again; a download that has begun goes on where it stopped."
        ) from None
    if unfinished(archive) or not zipfile.is_zipfile(archive):
        archive.unlink(missing_ok=True)
        raise DataError("What Kaggle sent is no zip file and was thrown away. Run this again.")
    return archive


def unfinished(archive):
    """True for a download that the kaggle package has not brought to its end."""
    return archive.with_name(archive.name + ".kaggle-partial").exists()


def _kaggle_download(slug):
    """The function of the kaggle package's client that downloads that kind of thing."""
    with redirect_stdout(io.StringIO()):  # a page of help where there is no account
        import kaggle  # here, since the import alone looks for credentials

        if "/" in slug:
            return kaggle.api.dataset_download_files
        kaggle.api.authenticate()
        return kaggle.api.competition_download_files


def _answer(status, slug):
    """What an HTTP status of Kaggle's means, and what to do."""
    known = {
        401: f"Kaggle refused the credentials (401): they are wrong or expired. {TOKEN}",
        403: f"Kaggle wants the competition's rules accepted first (403): log in, accept them on "
        f"{KAGGLE}/c/{slug}/rules (some accounts must verify a phone number too), then run this "
        "again.",
        404: f"Kaggle knows no {'data set' if '/' in slug else 'competition'} named {slug} (404).",
    }
    return known.get(status, f"Kaggle is in trouble (error {status}): try again in some minutes.")


def unpack(source, folder, choose):
    """Write some members of an archive, whole, to a folder; those that are there already stay.

    source: a zip file, one with a train.zip in it, a tar file, compressed or not, or a folder.
    choose: a function from the paths of all members to a dict from path to new name.
    Returns the new names. Raises DataError for an archive that is damaged or hostile, has none to
    choose from, or lacks a path.
    """
    try:
        with _opened(source) as members:
            _check_safe(members, source)
            names = choose(members)
            if not names:
                raise DataError(f"{shown(source)} holds none of the pictures: {ANOTHER}.")
            if missing := names.keys() - members.keys():
                raise DataError(f"{shown(source)} has no {min(missing)}: {ANOTHER}.")
            chosen = [path for path in members if path in names]  # to go back in a tar is slow
            for path in progress(chosen, f"Unpacking {shown(source)}"):
                _write(folder / names[path], members[path])
    except DAMAGE:
        raise DataError(
            f"{shown(source)} is damaged or not downloaded to its end: remove it, fetch it again."
        ) from None
    return list(names.values())


@contextmanager
def _opened(source):
    """The members of an archive, or the files of a folder, as a dict from path to Member."""
    if source.is_dir():
        yield {
            path.relative_to(source).as_posix(): Member(
                path.stat().st_size, partial(path.open, "rb"), False
            )
            for path in sorted(source.rglob("*"))
            if path.is_file()
        }
    elif zipfile.is_zipfile(source):
        with _opened_zip(source) as members:
            yield members
    else:
        with tarfile.open(source) as archive:
            members = {
                info.name.removeprefix("./"): Member(
                    info.size, partial(archive.extractfile, info), not info.isfile()
                )
                for info in archive
                if not info.isdir()
            }
            archive.fileobj.seek(archive.offset)
            if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise EOFError  # where its end is missing tarfile itself says nothing
            yield members


@contextmanager
def _opened_zip(file):
    """The members of a zip file, or those of the train.zip in it."""
    with zipfile.ZipFile(file) as archive:
        members, inner = {}, None
        for info in archive.infolist():
            link = stat.S_ISLNK(info.external_attr >> 16)
            members[info.filename] = Member(info.file_size, partial(archive.open, info), link)
            inner = info if PurePosixPath(info.filename).name == "train.zip" else inner
        if inner is None:
            yield members
        else:
            with archive.open(inner) as file, _opened_zip(file) as members:
                yield members


def _check_safe(members, source):
    """Refuse an archive with a link, or a member that wants out of the folder it is unpacked to."""
    for name, member in members.items():
        path = name.replace("\\", "/")
        outside = path.startswith("/") or ".." in path.split("/") or re.match("[A-Za-z]:", path)
        if member.link or outside:
            raise DataError(f"{shown(source)} is not safe to unpack: it holds {name!a}.")


def _write(path, member):
    """Write a member whole, unless an earlier run wrote the very same."""
    if member.size > MAX_BYTES:
        raise DataError(f"The archive's {path.name} would be {member.size / 1e6:.0f} MB: refused.")
    with member.open() as file:
        content = file.read()
    if not path.exists() or path.read_bytes() != content:
        with whole(path) as part:
            part.write_bytes(content)
