// Which files a program consists of, and what is in them: as a value, and as a text that sha256sum checks.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace kokuin::tsa {

/// By absolute path: the SHA-256 of its content, hex.
using ProgramList = std::map<std::string, std::string>;

/// One line for each file, in the order of the paths, as sha256sum(1) writes and `sha256sum -c` reads it: the
/// digest, two spaces, the path; a path with a line feed or a backslash in it as "\\n" and "\\\\", with a
/// backslash in front of its line. Pure.
std::string to_text(const ProgramList& list);
/// Reads what to_text() writes; nothing if it is anything else. Pure.
std::optional<ProgramList> program_list(std::string_view text);
/// SHA-256 of its text, hex: what it is called by. Pure.
std::string digest_of(const ProgramList& list);

/// What one file is in one list and isn't in another.
struct ProgramChange {
    enum class Kind { added, gone, other };
    std::string path;
    Kind kind = Kind::other;
    bool operator==(const ProgramChange&) const = default;
};
/// In the order of the paths. Pure.
std::vector<ProgramChange> changes(const ProgramList& before, const ProgramList& after);
/// "new", "gone", "other content".
std::string_view name(ProgramChange::Kind kind);

/// The whole of a regular file, through links. Error (environment): there is none, or it can't be read; a
/// pipe or a device isn't waited for.
Result<Bytes> read_program_file(const std::string& path);

}  // namespace kokuin::tsa
