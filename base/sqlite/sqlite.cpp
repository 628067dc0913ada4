#include "base/sqlite/sqlite.h"

#include <sqlite3.h>

#include <utility>

namespace kokuin::sqlite {
namespace {

/// How long a connection waits for another one's lock. Writers never wait for readers in WAL mode; this is
/// for the moments when a log is truncated or a segment changes its journal mode.
constexpr int patience_ms = 2000;

const char* advice(int code) {
    switch (code & 0xff) {
        case SQLITE_FULL:
            return "the disk is full: make room";
        case SQLITE_CANTOPEN:
            return "check that the folder and the file exist and who may read them";
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_AUTH:
            return "check who may write the folder and its files";
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            return "the file is damaged: keep it, restore a copy";
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return "another process holds it: try again";
        default:
            return "check the disk and the kernel's log";
    }
}

Error failure(const std::string& where, int code, const char* message) {
    return Error::environment(where + ": " + message + " (SQLite " + std::to_string(code) + "); " +
                              advice(code));
}

Error failure(const std::string& where, sqlite3* database) {
    return failure(where, sqlite3_extended_errcode(database), sqlite3_errmsg(database));
}

/// A path as SQLite's URI wants it.
std::string uri(const std::string& path, const char* parameters) {
    static const char* digits = "0123456789ABCDEF";
    std::string result = "file:";
    for (const char c : path) {
        const auto octet = static_cast<unsigned char>(c);
        if (octet <= 0x20 || octet >= 0x7f || c == '%' || c == '?' || c == '#') {
            result += '%';
            result += digits[octet >> 4U];
            result += digits[octet & 0x0fU];
        } else {
            result += c;
        }
    }
    return result + parameters;
}

}  // namespace

Statement::Statement(sqlite3_stmt* statement, std::string where)
    : statement_(statement), where_(std::move(where)) {}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
    sqlite3_finalize(statement);
}

void Statement::bind(int index, std::int64_t value) {
    sqlite3_bind_int64(statement_.get(), index, value);
}

void Statement::bind(int index, View octets) {
    // A null pointer would bind NULL.
    const void* data = octets.empty() ? "" : static_cast<const void*>(octets.data());
    sqlite3_bind_blob64(statement_.get(), index, data, octets.size(), SQLITE_STATIC);
}

void Statement::bind(int index, std::string_view text) {
    sqlite3_bind_text64(statement_.get(), index, text.empty() ? "" : text.data(), text.size(), SQLITE_STATIC,
                        SQLITE_UTF8);
}

Result<bool> Statement::step() {
    const int code = sqlite3_step(statement_.get());
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    Error error = failure(where_, sqlite3_db_handle(statement_.get()));
    reset();
    return error;
}

Done Statement::run() {
    const auto row = step();
    if (!row) return row.error();
    reset();
    return {};
}

void Statement::reset() {
    sqlite3_reset(statement_.get());
    sqlite3_clear_bindings(statement_.get());
}

std::int64_t Statement::integer(int column) const {
    return sqlite3_column_int64(statement_.get(), column);
}

View Statement::octets(int column) const {
    const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_.get(), column));
    const int size = sqlite3_column_bytes(statement_.get(), column);
    return data ? View(data, static_cast<std::size_t>(size)) : View();
}

std::string Statement::text(int column) const {
    const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
    const int size = sqlite3_column_bytes(statement_.get(), column);
    return data ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

Statement::Type Statement::type(int column) const {
    switch (sqlite3_column_type(statement_.get(), column)) {
        case SQLITE_INTEGER:
            return Type::integer;
        case SQLITE_FLOAT:
            return Type::real;
        case SQLITE_TEXT:
            return Type::text;
        case SQLITE_BLOB:
            return Type::blob;
        default:
            return Type::null;
    }
}

bool Statement::is_null(int column) const {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

Database::Database(sqlite3* database, std::string path) : database_(database), path_(std::move(path)) {}

void Database::Close::operator()(sqlite3* database) const {
    sqlite3_close_v2(database);
}

Result<Database> Database::open(const std::string& path, Mode mode) {
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI;
    const char* parameters = "";
    const char* vfs = nullptr;
    switch (mode) {
        case Mode::create:
            flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXCLUSIVE;
            break;
        case Mode::write:
            flags |= SQLITE_OPEN_READWRITE;
            break;
        case Mode::read:
            flags |= SQLITE_OPEN_READONLY;
            break;
        case Mode::immutable:
            flags |= SQLITE_OPEN_READONLY;
            parameters = "?immutable=1";
            break;
        case Mode::alone:
            flags |= SQLITE_OPEN_READONLY;
            vfs =
                "unix-none";  // no locks: the exclusive mode below needs one that a read-only file can't give
            break;
    }
    sqlite3* raw = nullptr;
    const int code = sqlite3_open_v2(uri(path, parameters).c_str(), &raw, flags, vfs);
    Database database(raw, path);
    if (!raw) return failure(path, code, "no memory");
    if (code != SQLITE_OK) return failure(path, raw);
    sqlite3_extended_result_codes(raw, 1);
    sqlite3_busy_timeout(raw, patience_ms);
    // Pages are looked over when they are read from the disk, so that damage is met sooner.
    if (auto careful = database.execute("PRAGMA cell_size_check=ON"); !careful)
        return std::move(careful).error();
    if (mode == Mode::alone) {
        // In exclusive mode the index of the log is in this process's memory instead of a shared file
        // (SQLite, "Use of WAL Without Shared-Memory").
        const auto exclusive = database.execute("PRAGMA locking_mode=EXCLUSIVE");
        if (!exclusive) return exclusive.error();
    }
    return database;
}

Done Database::execute(const char* sql) {
    if (sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
        return failure(path_, database_.get());
    return {};
}

Result<Statement> Database::prepare(std::string_view sql) {
    sqlite3_stmt* statement = nullptr;
    const int code =
        sqlite3_prepare_v2(database_.get(), sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
    if (code != SQLITE_OK) return failure(path_, database_.get());
    return Statement(statement, path_);
}

Result<std::int64_t> Database::integer(std::string_view sql) {
    auto statement = prepare(sql);
    if (!statement) return statement.error();
    const auto row = statement->step();
    if (!row) return row.error();
    if (!*row) return Error::environment(path_ + ": a row is missing: the file is damaged, restore a copy");
    return statement->integer(0);
}

Result<std::string> Database::text(std::string_view sql) {
    auto statement = prepare(sql);
    if (!statement) return statement.error();
    const auto row = statement->step();
    if (!row) return row.error();
    if (!*row) return Error::environment(path_ + ": a row is missing: the file is damaged, restore a copy");
    return statement->text(0);
}

Result<Checkpoint> Database::checkpoint(Extent extent) {
    const int mode = extent == Extent::passive ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_TRUNCATE;
    Checkpoint result;
    const int code = sqlite3_wal_checkpoint_v2(database_.get(), nullptr, mode, &result.frames, &result.moved);
    if ((code & 0xff) == SQLITE_BUSY) {
        result.busy = true;
    } else if (code != SQLITE_OK) {
        return failure(path_, database_.get());
    }
    return result;
}

void Database::keep_log_on_close() {
    sqlite3_db_config(database_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

bool Database::was_busy() const {
    return (sqlite3_errcode(database_.get()) & 0xff) == SQLITE_BUSY;
}

void Database::watch_log(int& frames) {
    sqlite3_wal_hook(
        database_.get(),
        [](void* target, sqlite3*, const char*, int length) {
            *static_cast<int*>(target) = length;
            return SQLITE_OK;
        },
        &frames);
}

}  // namespace kokuin::sqlite
