#include "tsa/process_maps.h"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace kokuin::tsa {
namespace {

/// The next line, without its end; takes it away.
std::string_view next_line(std::string_view& rest) {
    const auto end = rest.find('\n');
    const auto line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return line;
}

/// The next word of a line; takes it and what is between words away.
std::string_view next_word(std::string_view& line) {
    const auto end = std::min(line.find(' '), line.size());
    const auto word = line.substr(0, end);
    line.remove_prefix(std::min(line.find_first_not_of(' ', end), line.size()));
    return word;
}

template <typename Number>
std::optional<Number> number(std::string_view digits, int base) {
    Number value{};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return value;
}

/// The one character that the kernel escapes in a path.
std::string unescaped(std::string_view path) {
    std::string out(path);
    for (auto at = out.find("\\012"); at != std::string::npos; at = out.find("\\012", at + 1))
        out.replace(at, 4, "\n");
    return out;
}

/// "BEGIN-END PERMISSIONS OFFSET DEVICE INODE  PATH"; nothing if it isn't executable.
std::optional<Mapping> read_line(std::string_view line) {
    constexpr std::string_view gone = " (deleted)";
    const auto range = next_word(line);
    const auto permissions = next_word(line);
    const auto offset = number<std::uint64_t>(next_word(line), 16);
    const auto device = next_word(line);
    const auto inode = next_word(line);
    const auto dash = range.find('-');
    if (dash == std::string_view::npos || permissions.size() != 4 || permissions[2] != 'x' || !offset)
        return std::nullopt;
    const auto begin = number<std::uintptr_t>(range.substr(0, dash), 16);
    const auto end = number<std::uintptr_t>(range.substr(dash + 1), 16);
    if (!begin || !end || *end <= *begin || line == "[vdso]" || line == "[vsyscall]") return std::nullopt;
    Mapping out{*begin, *end, *offset, "", false, permissions[1] == 'w', permissions[0] == 'r'};
    // A memfd has a name, and is no file that anybody could look at.
    if (line.starts_with('/') && !line.starts_with("/memfd:")) {
        out.deleted = line.ends_with(gone);
        if (out.deleted) line.remove_suffix(gone.size());
        out.path = unescaped(line);
        out.file = std::string(device) + ' ' + std::string(inode);
    }
    return out;
}

}  // namespace

std::vector<Mapping> executable_mappings(std::string_view maps) {
    std::vector<Mapping> out;
    while (!maps.empty())
        if (auto mapping = read_line(next_line(maps))) out.push_back(std::move(*mapping));
    return out;
}

std::optional<int> tracer_of(std::string_view status) {
    constexpr std::string_view key = "TracerPid:";
    while (!status.empty()) {
        auto line = next_line(status);
        if (!line.starts_with(key)) continue;
        line.remove_prefix(std::min(line.find_first_not_of("\t ", key.size()), line.size()));
        const auto pid = number<int>(line, 10);
        return pid && *pid != 0 ? pid : std::nullopt;
    }
    return std::nullopt;
}

Result<Bytes> own_memory(std::uintptr_t begin, std::uintptr_t end) {
    // Not read as memory: what another thread unmaps meanwhile would end the process. And not by
    // /proc/self/mem, which a process that forbids core dumps can't open unless it is root.
    Bytes out(end - begin);
    std::size_t have = 0;
    while (have < out.size()) {
        const iovec to{out.data() + have, out.size() - have};
        const iovec from{reinterpret_cast<void*>(begin + have), out.size() - have};
        const auto got = ::process_vm_readv(::getpid(), &to, 1, &from, 1, 0);
        if (got <= 0 && errno != EFAULT)
            return Error::environment(std::string("process_vm_readv: ") + std::strerror(errno));
        if (got <= 0) return Error::no("there is no such memory");
        have += static_cast<std::size_t>(got);
    }
    return out;
}

}  // namespace kokuin::tsa
