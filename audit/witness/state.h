// What a witness remembers of the logs that it follows.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "store/tlog/note.h"

namespace kokuin::audit::witness {

/// A checkpoint as it was seen.
struct Seen {
    tlog::Checkpoint checkpoint;
    tlog::Note note;
};

/// A folder with one file for each log: the last checkpoint that the witness has cosigned, as a note, the
/// cosignature in it. It is the witness's memory: lost, the witness believes whatever it is shown next. One
/// process at a time (flock on DIR/lock); not thread-safe.
class State {
  public:
    /// The folder is made if it is missing, its parent not. Error (environment): another process has it.
    static Result<State> open(const std::string& dir);

    /// What was kept of this log; nothing if it was never seen. Error (environment): the file can't be read,
    /// or holds something else.
    [[nodiscard]] Result<std::optional<Seen>> load(const std::string& origin) const;
    /// Durable on return.
    [[nodiscard]] Done store(const tlog::Checkpoint& checkpoint, const tlog::Note& note) const;
    /// Keeps a checkpoint that contradicts others, in a file that is named after its size and root; the
    /// file's path.
    [[nodiscard]] Result<std::string> keep_evidence(const tlog::Checkpoint& checkpoint,
                                                    const tlog::Note& note) const;
    /// What keep_evidence() has kept of this log, by name.
    [[nodiscard]] std::vector<std::string> evidence(const std::string& origin) const;
    /// Where store() writes.
    [[nodiscard]] std::string path(const std::string& origin) const;

  private:
    State(std::string dir, Descriptor lock) : dir_(std::move(dir)), lock_(std::move(lock)) {}
    std::string dir_;
    Descriptor lock_;
};

}  // namespace kokuin::audit::witness
