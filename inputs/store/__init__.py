"""The store: one log as Arrow files that map straight into memory. What is written how: docs/store.md."""

from .assemble import assemble
from .files import Files, LocalFiles, RemoteFiles, filesystem_of
from .index import Index
from .layout import INDEX, INDEX_CHECKSUM, MAP, UNFINISHED, VERSION, Compression
from .plan import begin, plan_shards, plan_text, unfinished
from .record_file import Hasher
from .shard import Shard, ShardOptions, finished_shard, write_shard
from .source import StoreSource
from .target import LocalTarget, RemoteTarget, Target
from .verify import broken_files, broken_index, broken_records, stray_files

__all__ = [
    "INDEX",
    "INDEX_CHECKSUM",
    "MAP",
    "UNFINISHED",
    "VERSION",
    "Compression",
    "Files",
    "Hasher",
    "Index",
    "LocalFiles",
    "LocalTarget",
    "RemoteFiles",
    "RemoteTarget",
    "Shard",
    "ShardOptions",
    "StoreSource",
    "Target",
    "assemble",
    "begin",
    "broken_files",
    "broken_index",
    "broken_records",
    "filesystem_of",
    "finished_shard",
    "plan_shards",
    "plan_text",
    "stray_files",
    "unfinished",
    "write_shard",
]
