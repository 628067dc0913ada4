// SQLite as values: RAII handles, errors as Results. For the archive (store), and for what an auditor takes along of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace kokuin::sqlite {

/// A prepared statement. One thread at a time, the same as its Database, which must outlive it.
class Statement {
  public:
    Statement() = default;

    /// Binds parameter `index` (from 1). Octets and texts are not copied: they must stay until the next
    /// reset().
    void bind(int index, std::int64_t value);
    void bind(int index, View octets);
    void bind(int index, std::string_view text);

    /// True: a row is there. False: done. An error leaves the statement reset.
    Result<bool> step();
    /// Runs a statement that gives no rows, and resets it.
    Done run();
    /// Ends the read transaction that an unfinished select keeps open; the bindings go too.
    void reset();

    [[nodiscard]] std::int64_t integer(int column) const;
    /// Valid until the next step() or reset().
    [[nodiscard]] View octets(int column) const;
    [[nodiscard]] std::string text(int column) const;
    [[nodiscard]] bool is_null(int column) const;
    /// As what a value is stored, whatever its column is declared to hold.
    enum class Type { null, integer, real, text, blob };
    [[nodiscard]] Type type(int column) const;

  private:
    friend class Database;
    struct Finalize {
        void operator()(sqlite3_stmt* statement) const;
    };
    Statement(sqlite3_stmt* statement, std::string where);
    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
    std::string where_;
};

/// What a checkpoint saw.
struct Checkpoint {
    bool busy = false;  ///< a reader or writer kept it from going all the way
    int frames = 0;     ///< frames in the log (-1: no log)
    int moved = 0;      ///< of these, now in the database file and synced
};

/// One connection. One thread at a time.
class Database {
  public:
    enum class Mode {
        create,     ///< makes the file; it must not exist
        write,      ///< the file must exist
        read,       ///< as an auditor: nothing is written but perhaps the shared-memory file of a log
        immutable,  ///< read; no locks, no log: only for a file that nobody writes and that has no log
        alone,      ///< read; no locks and no shared-memory file, but with the log: for a copy that can't be
                    ///< written
    };
    /// Error (environment) with the path. In `alone` nobody may write the file.
    static Result<Database> open(const std::string& path, Mode mode);

    /// Runs statements that give no rows (or whose rows don't matter).
    Done execute(const char* sql);
    Result<Statement> prepare(std::string_view sql);
    /// First column of the first row of a query; Error if there is no row.
    Result<std::int64_t> integer(std::string_view sql);
    Result<std::string> text(std::string_view sql);

    enum class Extent { passive, truncate };
    Result<Checkpoint> checkpoint(Extent extent);
    /// Closing leaves the log alone: for a connection that has seen an error.
    void keep_log_on_close();
    /// `frames` is set to the length of the log, in pages, at every commit of this connection. This also ends
    /// SQLite's own checkpoints. `frames` must outlive the connection's last commit.
    void watch_log(int& frames);

    /// True if the last error was that another connection stood in the way.
    [[nodiscard]] bool was_busy() const;

  private:
    struct Close {
        void operator()(sqlite3* database) const;
    };
    Database(sqlite3* database, std::string path);
    std::unique_ptr<sqlite3, Close> database_;
    std::string path_;
};

}  // namespace kokuin::sqlite
