#include "audit/witness/state.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <botan/hash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/file.h"

namespace kokuin::audit::witness {
namespace {

constexpr std::size_t longest_note = 64U << 10U;

/// A log's name as part of a file's: what isn't a letter, digit, '.', '-' or '_' as %XX; a long one as its
/// SHA-256.
std::string file_name(const std::string& origin) {
    std::string name;
    for (const char c : origin) {
        const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                           c == '-' || c == '_' || (c == '.' && !name.empty());
        if (plain)
            name += c;
        else
            name += "%" + to_hex(as_view({&c, 1}));
    }
    if (name.size() <= 160) return name;
    const auto sha256 = Botan::HashFunction::create_or_throw("SHA-256");
    sha256->update(origin);
    return to_hex(sha256->final_stdvec());
}

}  // namespace

Result<State> State::open(const std::string& dir) {
    if (::mkdir(dir.c_str(), 0750) != 0 && errno != EEXIST)
        return Error::environment(dir + ": can't be made: " + std::strerror(errno) +
                                  "; its parent folder must exist and be writable");
    const std::string path = dir + "/lock";
    Descriptor lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
    if (!lock)
        return Error::environment(path + ": " + std::strerror(errno) +
                                  "; the witness must be able to write there");
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
        return Error::environment(
            errno == EWOULDBLOCK ? dir + ": another witness works on this folder: wait for it, or stop it"
                                 : path + ": can't be locked: " + std::strerror(errno));
    return State(dir, std::move(lock));
}

std::string State::path(const std::string& origin) const {
    return dir_ + "/" + file_name(origin) + ".checkpoint";
}

Result<std::optional<Seen>> State::load(const std::string& origin) const {
    const std::string file = path(origin);
    if (::access(file.c_str(), F_OK) != 0) {
        if (errno == ENOENT) return std::optional<Seen>();
        return Error::environment(file + ": " + std::strerror(errno));
    }
    const auto octets = read_file(file, longest_note);
    if (!octets) return Error::environment(octets.error().text);
    auto note = tlog::Note::parse(as_text(*octets));
    auto checkpoint = note ? tlog::Checkpoint::parse(note->text) : Result<tlog::Checkpoint>(note.error());
    if (!checkpoint || checkpoint->origin != origin)
        return Error::environment(file + ": isn't what was kept of the log " + origin +
                                  ": restore it; without it this witness has seen nothing");
    return std::optional<Seen>(Seen{std::move(*checkpoint), std::move(*note)});
}

Done State::store(const tlog::Checkpoint& checkpoint, const tlog::Note& note) const {
    return write_file(path(checkpoint.origin), as_view(note.write()));
}

Result<std::string> State::keep_evidence(const tlog::Checkpoint& checkpoint, const tlog::Note& note) const {
    const std::string file = dir_ + "/" + file_name(checkpoint.origin) + ".conflict." +
                             std::to_string(checkpoint.head.size) + "." +
                             to_hex(View(checkpoint.head.root).first(8));
    if (auto done = write_file(file, as_view(note.write())); !done) return done.error();
    return file;
}

std::vector<std::string> State::evidence(const std::string& origin) const {
    std::vector<std::string> files;
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator(dir_, failed))
        if (entry.path().filename().string().starts_with(file_name(origin) + ".conflict."))
            files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
}

}  // namespace kokuin::audit::witness
