#include "base/account.h"

#include <pwd.h>

#include <array>

namespace kokuin {

std::optional<std::string> account_name(uid_t uid) {
    std::array<char, 4096> buffer{};
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || !found) return std::nullopt;
    return entry.pw_name;
}

}  // namespace kokuin
