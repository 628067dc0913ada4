// The archive of this CA, opened to write: its one writer for the time of a command.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "ca/register.h"
#include "store/archive.h"

namespace kokuin::ca {

/// Who does something, and why: in every record.
struct Who {
    std::string why;  ///< one line, as check_why_and_by() wants it
    std::string by;
    std::string account;  ///< by the kernel's word
};

class Books {
  public:
    /// Takes the archive's lock and reads everything. Error (environment): another tsca works on it, or
    /// read_register() has found it changed, or this machine's clock is before the last record: everything
    /// that is signed carries its time, so somebody must set it first. `clock` outlives it.
    static Result<std::unique_ptr<Books>> open(const std::string& archive, const WallClock& clock);

    /// What was done before this command.
    [[nodiscard]] const Register& what_was() const { return register_; }
    /// Reads it all again: with what this command has recorded.
    Result<Register> read_again() const;
    [[nodiscard]] const std::string& archive_id() const { return archive_->id(); }
    /// Whole seconds: as certificates and CRLs have it.
    [[nodiscard]] WallTime now() const { return std::chrono::floor<seconds>(clock_.now()); }
    /// Durable on return.
    Done record(const store::Event& event, const std::vector<store::Blob>& blobs);

  private:
    Books(std::unique_ptr<store::Archive> archive, const WallClock& clock)
        : archive_(std::move(archive)), clock_(clock) {}
    std::unique_ptr<store::Archive> archive_;
    const WallClock& clock_;
    Register register_;
};

/// What stands in the archive, without its lock: for commands that only look.
Result<Register> look_into(const std::string& archive);

}  // namespace kokuin::ca
