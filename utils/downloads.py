"""Files from the web, pictures out of archives: whole or not at all, and a sentence when it fails.

Knows how to fetch and to unpack, and nothing of what the pictures are for.
"""

import contextlib
import errno
import gzip
import hashlib
import io
import re
import shutil
import stat
import tarfile
import threading
import time
import zipfile
import zlib
from collections import Counter, namedtuple
from functools import partial
from pathlib import Path, PurePosixPath

import requests

from utils import settings
from utils.files import disk_full, shown, whole
from utils.images import MAX_BYTES
from utils.progress import progress

ATTEMPTS = 5
PAUSE = 2.0  # seconds before the second attempt, doubled with each one more
TIMEOUT = (10, 60)  # seconds: to connect, and without a single byte
CHUNK = 2**20
KAGGLE = "https://www.kaggle.com"

Member = namedtuple("Member", "size read")


class DataError(RuntimeError):
    """The data cannot be had: the text says what is wrong, where, and what to do next."""


def natural(name):
    """A key that sorts cat.2 before cat.10."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split("([0-9]+)", name))]


# -------------------------------------------------------------------------------------- fetching


def fetch(url, path, *, size, sha256):
    """Download a file to `path`, which appears only when its size and SHA-256 are right.

    What arrived is kept beside it as .part, and the next attempt, or the next run, goes on from
    there. Raises DataError.
    """
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with disk_full(path.parent):
        for attempt in range(ATTEMPTS):
            failure = _attempt(url, part, size)
            if failure is None:
                return _accept(part, path, size, sha256)
            if attempt < ATTEMPTS - 1:
                print(f"{path.name}: {failure}. Another attempt follows.", flush=True)
                time.sleep(PAUSE * 2**attempt)
    raise DataError(
        f"The download of {path.name} from {_host(url)} failed {ATTEMPTS} times: {failure}. "
        "What arrived is kept: run this again to go on from there."
    )


def _attempt(url, part, size):
    """Fetch what is missing of a file; None, or in a few words why another attempt is needed."""
    try:
        _continue(url, part, size)
    except requests.HTTPError as error:
        status = error.response.status_code
        if status == 416:  # what is here is no beginning of what is there
            part.unlink(missing_ok=True)
        elif status < 500 and status != 429:
            raise DataError(
                f"{_host(url)} does not give {url.rsplit('/', 1)[-1]} away (error {status})."
            ) from None
        return f"the server answered with error {status}"
    except (requests.ConnectionError, requests.Timeout):
        return "there is no connection; check the network and its proxy"
    except requests.RequestException:
        return "the connection broke off"
    return None if part.stat().st_size >= size else "the connection broke off"


def _continue(url, part, size):
    """Append to `part` what the server has beyond it, or write it anew when the file changed."""
    seal = part.with_name(part.name + ".etag")  # says which version `part` is the beginning of
    have = part.stat().st_size if part.exists() else 0
    if have == size:
        return
    headers = {"Accept-Encoding": "identity"}
    if have and seal.exists():
        headers |= {"Range": f"bytes={have}-", "If-Range": seal.read_text()}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        response.raise_for_status()
        have = have if response.status_code == 206 else 0
        if not have:
            seal.unlink(missing_ok=True)
        with part.open("ab" if have else "wb") as file:
            if (etag := response.headers.get("ETag", "W/")) and not etag.startswith("W/"):
                seal.write_text(etag)
            chunks = response.iter_content(CHUNK)
            label = f"Downloading {part.stem} (MB)"
            for chunk in progress(chunks, label, total=-(-(size - have) // CHUNK)):
                file.write(chunk)
                if file.tell() > size:
                    return


def _accept(part, path, size, sha256):
    """Move a finished download into place, or throw it away when it is not the file expected."""
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    part.with_name(part.name + ".etag").unlink(missing_ok=True)
    if part.stat().st_size != size or digest != sha256:
        part.unlink()
        raise DataError(
            f"The downloaded {path.name} is not the file expected (its size or checksum differs) "
            "and was thrown away. Run this again."
        )
    return part.replace(path)


def _host(url):
    return url.split("/")[2]


# ---------------------------------------------------------------------------------------- Kaggle


def fetch_from_kaggle(slug, folder):
    """Download all files of a competition, or of a data set, as <folder>/<name>.zip.

    slug: the competition's name, or the data set's with its owner's, <owner>/<name>; a data set
    needs no account. A download that was cut off goes on where it stopped. Raises DataError: no
    account, credentials refused, rules not accepted, no network, disk full.
    """
    archive = Path(folder) / f"{slug.split('/')[-1]}.zip"
    with _kaggle_errors(slug), disk_full(folder), _watched(archive):
        _kaggle_download(slug)(slug, path=str(folder), quiet=True)
    if unfinished(archive) or not zipfile.is_zipfile(archive):
        archive.unlink(missing_ok=True)
        raise DataError("What Kaggle sent is no zip file and was thrown away. Run this again.")
    return archive


def unfinished(archive):
    """True for a download that the kaggle package has not brought to its end."""
    return archive.with_name(archive.name + ".kaggle-partial").exists()


def _kaggle_download(slug):
    """The function of the kaggle package's client that downloads that kind of thing."""
    if "/" not in slug:
        return _kaggle().competition_download_files
    return _kaggle(login=False).dataset_download_files


def _kaggle(login=True):
    """The kaggle package's client, logged in; its help texts kept from the notebook."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            import kaggle  # here, since the import alone looks for credentials
        except (PermissionError, FileNotFoundError):
            raise DataError(
                "The kaggle package cannot make its folder for settings: set KAGGLE_CONFIG_DIR to "
                "a folder of yours, then run this again."
            ) from None
        if login:
            kaggle.api.authenticate()
    if "readable by other users" in said.getvalue():
        print("Other users of this machine can read your kaggle.json: chmod 600 it.")
    return kaggle.api


@contextlib.contextmanager
def _kaggle_errors(slug):
    """Turn all that the kaggle package can raise into a DataError, without its credentials."""
    try:
        yield
    except DataError:
        raise
    except ImportError:
        raise DataError("The kaggle package is missing: pip install kaggle.") from None
    except (SystemExit, NameError):  # its exit(1), which a notebook does not know
        raise DataError(_refused() if _token() else _no_account()) from None
    except requests.HTTPError as error:
        raise DataError(_answer(error.response.status_code, slug)) from None
    except (requests.ConnectionError, requests.Timeout):
        raise DataError(
            "There is no connection to Kaggle: check the network and its proxy, then run this "
            "again; a download that has begun goes on where it stopped."
        ) from None
    except (requests.RequestException, ValueError):
        raise DataError(
            "The download from Kaggle broke off: run this again, it goes on where it stopped."
        ) from None


def _token():
    """Whether an access token is set, which goes before kaggle.json."""
    files = (Path.home() / ".kaggle" / name for name in ("access_token", "access_token.txt"))
    return bool(settings.environ("KAGGLE_API_TOKEN")) or any(file.exists() for file in files)


def _no_account():
    return (
        f"Kaggle needs an account, and no credentials were found: create a token on "
        f"{KAGGLE}/settings, save it as ~/.kaggle/access_token (or run `kaggle auth login`), then "
        "run this again."
    )


def _refused():
    trap = (
        "The variable KAGGLE_API_TOKEN is set and goes before every file: correct it or unset it."
        if settings.environ("KAGGLE_API_TOKEN")
        else f"Create a new token on {KAGGLE}/settings and replace the old one."
    )
    return f"Kaggle refused the credentials (401): the token or key is wrong or expired. {trap}"


def _answer(status, slug):
    """What an HTTP status of Kaggle's means, and what to do."""
    known = {
        401: _refused(),
        403: f"Kaggle wants the competition's rules accepted first (403): log in, accept them on "
        f"{KAGGLE}/c/{slug}/rules (some accounts must verify a phone number too), then run this "
        "again.",
        404: f"Kaggle knows no {'data set' if '/' in slug else 'competition'} named {slug} (404).",
    }
    return known.get(status, f"Kaggle is in trouble (error {status}): try again in some minutes.")


@contextlib.contextmanager
def _watched(path, every=10.0):
    """Print how much of a file is there while another package downloads it."""
    done = threading.Event()

    def watch():
        while not done.wait(every):
            size = path.stat().st_size if path.exists() else 0
            print(f"Downloading {path.name}: {size / 1e6:.0f} MB so far", flush=True)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


# ------------------------------------------------------------------------------------- unpacking


def unpack(source, folder, patterns, classes, *, inner="train.zip", limit=None):
    """Write the pictures of a zip file, of the zip `inner` in it, or of a folder, to `folder`.

    A member is a picture when one of `patterns` matches its whole path; its groups make its new
    name, <label>.<number>.<kind>, so no path of the archive is ever followed. The label is spelled
    as in `classes`. At most `limit` pictures of each label. Pictures that are there already, byte
    for byte, stay. Returns the new names; raises DataError for a damaged or hostile archive, or one
    without pictures.
    """
    with _members(source, inner) as members:
        wanted = _wanted(members, patterns, classes, limit)
        if not wanted:
            raise DataError(f"{shown(source)} holds none of the pictures: it is another archive.")
        _write_all(wanted, source, folder)
    return list(wanted)


def extract(source, folder, names, optional=()):
    """Write the members of a tar file that have these names to `folder`, under the same names.

    The tar file may be compressed or not, whatever it is called. All of `names` must be there,
    those in `optional` may be. What is there already, byte for byte, stays. Raises DataError for a
    damaged or hostile archive, or one that lacks a name.
    """
    names, optional = set(names), set(optional)
    with _tar_members(source) as members:
        wanted = {name: member for name, member in members if name in names | optional}
        if missing := names - set(wanted):
            raise DataError(
                f"{shown(source)} has no {min(missing)}: it is another archive, or not complete."
            )
        _write_all(wanted, source, folder)


@contextlib.contextmanager
def _members(source, inner):
    """Pairs (path, Member) of a zip file, of the zip inside it, or of a folder."""
    if source.is_dir():
        files = sorted(path for path in source.rglob("*") if path.is_file())
        yield [
            (path.relative_to(source).as_posix(), Member(path.stat().st_size, path.read_bytes))
            for path in files
        ]
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(_damage_said(source))
        archive = stack.enter_context(zipfile.ZipFile(source))
        nested = [i for i in archive.infolist() if PurePosixPath(i.filename).name == inner]
        if nested:
            file = stack.enter_context(archive.open(nested[0]))
            archive = stack.enter_context(zipfile.ZipFile(file))
        yield [_checked(info, archive, source) for info in archive.infolist()]


@contextlib.contextmanager
def _tar_members(source):
    """Pairs (path, Member) of the files in a tar file, in its own order: to go back is slow."""
    with _damage_said(source), tarfile.open(source, "r:*") as archive:
        members = [_checked_tar(info, archive, source) for info in archive if not info.isdir()]
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("its end is missing")  # of which tarfile itself says nothing
        yield members


@contextlib.contextmanager
def _damage_said(source):
    """Turn what a damaged archive makes zipfile and tarfile raise into a DataError."""
    damage = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)
    try:
        yield
    except (*damage, NotImplementedError) as error:
        raise DataError(
            f"{shown(source)} is damaged or not downloaded to its end ({error}): delete it and "
            "fetch it again."
        ) from None


def _checked_tar(info, archive, source):
    """One file of a tar file, refused as in a zip file."""
    _check_safe(info.name, not info.isfile(), source)
    read = partial(_read_tar, info, archive)
    return PurePosixPath(info.name).as_posix(), Member(info.size, read)


def _read_tar(info, archive):
    with archive.extractfile(info) as file:
        return file.read()


def _check_safe(name, link, source):
    """Refuse an archive with a link, or a member that wants out of the folder it is unpacked to."""
    path = name.replace("\\", "/")
    outside = path.startswith("/") or ".." in path.split("/") or re.match("[A-Za-z]:", path)
    if outside or link:
        raise DataError(f"{shown(source)} is not safe to unpack: it holds {name!a}.")


def _checked(info, archive, source):
    """One member of a zip file, refused when it is not safe or cannot be read."""
    _check_safe(info.filename, stat.S_ISLNK(info.external_attr >> 16), source)
    if info.flag_bits & 1:
        raise DataError(f"{shown(source)} is locked with a password: use the original archive.")
    return info.filename, Member(info.file_size, partial(archive.read, info))


def _wanted(members, patterns, classes, limit):
    """The pictures among the members, by their new names, in natural order."""
    found, wanted, count = {}, {}, Counter()
    spelled = {label.lower(): label for label in classes}
    for path, member in members:
        match = next(filter(None, (re.fullmatch(pattern, path) for pattern in patterns)), None)
        if match:
            label, number, kind = match.group("label", "number", "kind")
            found.setdefault(f"{spelled[label.lower()]}.{number}.{kind}", member)
    for name in sorted(found, key=natural):
        label = name.split(".")[0]
        count[label] += 1
        if limit is None or count[label] <= limit:
            wanted[name] = found[name]
    return wanted


def _write_all(wanted, source, folder):
    """Write members, by their new names, to a folder."""
    with disk_full(folder):
        _check_room(wanted, folder)
        for name, member in progress(wanted.items(), f"Unpacking {shown(source)}", len(wanted)):
            _write(folder / name, member.read())


def _check_room(wanted, folder):
    """Refuse a picture larger than any picture is, and more pictures than the disk can hold."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, member in wanted.items():
        if member.size > MAX_BYTES:
            raise DataError(f"The archive's {name} would be {member.size / 1e6:.0f} MB: refused.")
    missing = sum(m.size for name, m in wanted.items() if not (folder / name).exists())
    if missing > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, "no room")


def _write(path, content):
    """Write a file whole, unless an earlier run wrote the very same."""
    if not path.exists() or path.read_bytes() != content:
        with whole(path) as part:
            part.write_bytes(content)
