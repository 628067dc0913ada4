// A segment: the SQLite file of one month. Names, schema and the facts it keeps about itself; used inside the
// store only. docs/archive.md describes the schema for strangers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/sqlite/sqlite.h"
#include "store/record.h"
#include "store/tiles.h"

namespace kokuin::store {

/// The commands that make an archive, for messages.
std::string init_command();

/// "2026-11": the month (UTC) of a moment. Sorted as text they are sorted in time.
std::string month_of(std::int64_t at_us);
/// Name of a segment that begins after another one of the same month ended, with a new log (restore.h):
/// "2026-11.02" after "2026-11". Between that and "2026-12" when sorted. Error (environment) after 99.
Result<std::string> name_after(const std::string& segment);
/// "DIR/2026-11.sqlite".
std::string segment_path(const std::string& dir, const std::string& name);
/// Names of all segments in `dir`, oldest first; empty if there is none or no such folder. Error
/// (environment) if the folder can't be read.
Result<std::vector<std::string>> list_segments(const std::string& dir);

/// The format of a segment, or that of one in an archive that was restored: its log has changed its origin,
/// and programs that know nothing of that must not take its first part for the whole.
constexpr std::int64_t plain_format = 4;
constexpr std::int64_t restored_format = 5;

/// What a segment says of itself.
struct Meta {
    std::string archive;     ///< id of the archive, 32 hexadecimal digits
    std::string origin;      ///< names the log (C2SP tlog-checkpoint) that its records are in
    std::string segment;     ///< its own name
    RecordNumber first = 0;  ///< number of its first record
    std::string previous;    ///< name of the segment before; empty in the first one
    std::int64_t format = plain_format;
};
/// Error (environment) if the file is no segment of a format this program knows.
Result<Meta> read_meta(sqlite::Database& database, const std::string& path);

/// Makes an empty segment so that it is there whole, also after a crash, or not at all. `edge`: of the tree
/// of all records before it; its tiles are the beginning of the segment's own.
Done create_segment(const std::string& dir, const Meta& meta, const TileEdge& edge);

/// Makes all segments in `dir` those of a restored archive: of `restored_format`. Each durably; nobody writes
/// them.
Done mark_restored(const std::string& dir);

/// A tile replaces what was there of it.
constexpr const char* insert_tile_sql =
    "INSERT OR REPLACE INTO tile (level, position, hashes) VALUES (?1, ?2, ?3)";
/// `tile` must stay until the statement has run.
void bind_tile(sqlite::Statement& insert, const Tile& tile);
/// What the segment has of the tile at this place; empty if nothing.
Result<Bytes> read_tile(sqlite::Database& database, unsigned level, std::uint64_t position);

/// A blob's content as it stands in the segment, not compared with its name; nothing if it isn't there.
Result<std::optional<Bytes>> read_blob(sqlite::Database& database, const BlobId& id);

/// What the index holds of an issuance.
struct IssuanceKeys {
    Bytes serial;
    std::int64_t gen_time_us = 0;
    std::int64_t imprint = 0;
};
IssuanceKeys keys_of(const Issuance& issuance);
IssuanceKeys keys_of(const OwnIssuance& issuance);
/// Runs the statements that put an issuance into its three tables of the index, or take it out: ?1 is the
/// key, ?2 the record's number.
Done run_on_index(const IssuanceKeys& keys, RecordNumber number, sqlite::Statement& serial,
                  sqlite::Statement& time, sqlite::Statement& imprint);
/// The index's key for an imprint: its first eight octets, big-endian, as a signed number.
std::int64_t imprint_key(View imprint);
/// A magnitude without leading zeros.
Bytes without_zeros(View magnitude);

/// The statements that make the format's tables and indices, as a segment keeps them.
Result<std::vector<std::string>> schema_objects();

/// The folder that a folder is in, by its path alone.
std::string parent_of(const std::string& dir);
/// fsync of a folder, so that names in it survive.
Done sync_folder(const std::string& dir);

}  // namespace kokuin::store
