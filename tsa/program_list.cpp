#include "tsa/program_list.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/descriptor.h"
#include "pki/hash.h"

namespace kokuin::tsa {
namespace {

constexpr std::size_t digits = 64;
/// The largest programs have some tens of megabytes; what is larger is none.
constexpr off_t largest_file = off_t{1} << 30U;

std::string escaped(const std::string& path) {
    std::string out;
    for (const char c : path) {
        if (c == '\\')
            out += "\\\\";
        else if (c == '\n')
            out += "\\n";
        else
            out += c;
    }
    return out;
}

std::optional<std::string> unescaped(std::string_view path) {
    std::string out;
    for (std::size_t i = 0; i < path.size(); ++i) {
        if (path[i] != '\\') {
            out += path[i];
            continue;
        }
        if (++i == path.size() || (path[i] != '\\' && path[i] != 'n')) return std::nullopt;
        out += path[i] == 'n' ? '\n' : '\\';
    }
    return out;
}

}  // namespace

std::string to_text(const ProgramList& list) {
    std::string out;
    for (const auto& [path, digest] : list) {
        const auto shown = escaped(path);
        out += (shown == path ? "" : "\\") + digest + "  " + shown + '\n';
    }
    return out;
}

std::optional<ProgramList> program_list(std::string_view text) {
    ProgramList out;
    for (auto rest = text; !rest.empty();) {
        const auto end = rest.find('\n');
        if (end == std::string_view::npos) return std::nullopt;
        auto line = rest.substr(0, end);
        rest.remove_prefix(end + 1);
        const bool escapes = line.starts_with('\\');
        if (escapes) line.remove_prefix(1);
        if (line.size() <= digits + 2 || line.substr(digits, 2) != "  ") return std::nullopt;
        const auto path = escapes ? unescaped(line.substr(digits + 2)) : std::string(line.substr(digits + 2));
        if (!path) return std::nullopt;
        out[*path] = std::string(line.substr(0, digits));
    }
    // One list has one text: digits, order and escapes too.
    for (const auto& [path, digest] : out) {
        const auto octets = from_hex(digest);
        if (!octets || to_hex(*octets) != digest) return std::nullopt;
    }
    return to_text(out) == text ? std::optional(out) : std::nullopt;
}

std::string digest_of(const ProgramList& list) {
    return to_hex(pki::digest(pki::Hash::sha256, as_view(to_text(list))));
}

std::vector<ProgramChange> changes(const ProgramList& before, const ProgramList& after) {
    using Kind = ProgramChange::Kind;
    std::map<std::string, Kind> out;
    for (const auto& [path, digest] : before) {
        const auto now = after.find(path);
        if (now == after.end())
            out[path] = Kind::gone;
        else if (now->second != digest)
            out[path] = Kind::other;
    }
    for (const auto& [path, digest] : after)
        if (before.count(path) == 0) out[path] = Kind::added;
    std::vector<ProgramChange> list;
    list.reserve(out.size());
    for (const auto& [path, kind] : out) list.push_back({path, kind});
    return list;
}

std::string_view name(ProgramChange::Kind kind) {
    switch (kind) {
        case ProgramChange::Kind::added:
            return "new";
        case ProgramChange::Kind::gone:
            return "gone";
        case ProgramChange::Kind::other:
            return "other content";
    }
    return "";
}

Result<Bytes> read_program_file(const std::string& path) {
    const auto trouble = [&path](const char* doing) {
        return Error::environment(path + ": can't " + doing + ": " + std::strerror(errno));
    };
    // What a pipe in its place would wait for doesn't come.
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file) return trouble("open it");
    struct stat is {};
    if (::fstat(file.get(), &is) != 0) return trouble("look at it");
    if (!S_ISREG(is.st_mode)) return Error::environment(path + ": is no regular file");
    if (is.st_size > largest_file) return Error::environment(path + ": is larger than any program");
    // One octet more, so that a file that grows meanwhile isn't taken for one that ends there.
    Bytes content(static_cast<std::size_t>(is.st_size) + 1);
    std::size_t have = 0;
    while (have < content.size()) {
        const auto got = ::read(file.get(), content.data() + have, content.size() - have);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return trouble("read it");
        if (got == 0) break;
        have += static_cast<std::size_t>(got);
    }
    if (have == content.size()) return Error::environment(path + ": grows while it is read");
    content.resize(have);
    return content;
}

}  // namespace kokuin::tsa
