"""Inspect's two ways of writing a log: one JSON document, or a zip archive of many, compressed with Zstandard."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from entropydx.errors import ImportFileError
from entropydx.importers._reading import Row, parsed, read_object, refuse

ZSTANDARD = 93
"""Compression method of a zip archive (APPNOTE 6.3.7, 4.4.5), which the standard library reads from Python 3.14."""
LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Signature, and the lengths of name and extra field, of a local file header (APPNOTE 4.3.7)."""
SIGNATURE = b"PK\x03\x04"
HEADERS = ("header.json", "_journal/start.json")
"""Of a finished log, and of one that was broken off."""
MOST = 1000
"""Times the size of an archive that its documents may take in all: about what DEFLATE reaches at best (1,032:1, zlib's
technical details), and far from what texts are compressed to. More is made to fill the memory."""
BROKEN = (OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error)
"""What `zipfile` raises for damaged, encrypted and unknown archives."""
INSTALL = "pip install 'entropydx[inspect]'"


def is_log(path: Path) -> bool:
    """Return whether a file is a log of Inspect, by its first bytes and the names within."""
    try:
        if path.suffix == ".eval":
            with zipfile.ZipFile(path) as archive:
                return bool({*HEADERS} & set(archive.namelist()))
        with path.open("rb") as file:
            start = file.read(4096)
        return b'"version"' in start and b'"eval"' in start and b'"task"' in start
    except BROKEN:
        return False


def read_log(path: Path) -> tuple[dict[str, Any], list[Row]]:
    """Return a log without its samples, and the samples with their places.

    Raises
    ------
    ImportFileError
        It cannot be opened, is damaged, or needs a package that is not installed.
    """
    if path.suffix == ".eval":
        return _archive(path)
    log = read_object(path)
    samples = log.pop("samples", None) or []
    if not isinstance(samples, list) or not all(isinstance(s, dict) for s in samples):
        refuse(str(path), "'samples' is no list of objects")
    return log, [(f"{path}, sample {i}", sample) for i, sample in enumerate(samples, start=1)]


def _archive(path: Path) -> tuple[dict[str, Any], list[Row]]:
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            members = {info.filename: info for info in archive.infolist()}
            header = next((members[name] for name in HEADERS if name in members), None)
            if header is None:
                refuse(str(path), f"neither {' nor '.join(HEADERS)} is in it: it is no log of Inspect")
            if sum(info.file_size for info in members.values()) > MOST * path.stat().st_size:
                refuse(str(path), f"its documents take more than {MOST:,} times its own size: it is no log of Inspect")
            log = _member(path, archive, file, header)
            samples = [name for name in members if name.startswith("samples/") and name.endswith(".json")]
            return log, [(f"{path}, {name}", _member(path, archive, file, members[name])) for name in samples]
    except BROKEN as error:
        raise ImportFileError(f"{path} is not an archive that can be read: {error}") from error


def _member(path: Path, archive: zipfile.ZipFile, file: BinaryIO, info: zipfile.ZipInfo) -> dict[str, Any]:
    """Return one document of an archive."""
    where = f"{path}, {info.filename}"
    content = _zstandard(where, file, info) if info.compress_type == ZSTANDARD else archive.read(info)
    try:
        document = parsed(content)
    except (ValueError, RecursionError) as error:
        raise ImportFileError(f"{where} is not JSON: {str(error)[:200]}") from error
    return document if isinstance(document, dict) else refuse(where, "it is no JSON object")


def _zstandard(where: str, file: BinaryIO, info: zipfile.ZipInfo) -> bytes:
    """Return what a member holds, which never is more than its directory entry says."""
    try:
        import zstandard  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportFileError(
            f"{where} is compressed with Zstandard, and zstandard is not installed", INSTALL
        ) from error
    file.seek(info.header_offset)
    signature, name_length, extra_length = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    if signature != SIGNATURE:
        refuse(where, "the archive is damaged: no member begins where its directory says")
    file.seek(name_length + extra_length, 1)
    try:
        with zstandard.ZstdDecompressor().stream_reader(file.read(info.compress_size)) as reader:
            content: bytes = reader.read(info.file_size)
    except zstandard.ZstdError as error:
        raise ImportFileError(f"{where} cannot be decompressed: {error}") from error
    if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
        refuse(where, "the archive is damaged: the document is not the one that was written")
    return content
