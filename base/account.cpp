#include "base/account.h"

#include <pwd.h>

#include <array>

#include "base/text.h"

namespace kokuin {

std::optional<std::string> account_name(uid_t uid) {
    std::array<char, 4096> buffer{};
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || !found) return std::nullopt;
    return entry.pw_name;
}

std::string account_text(uid_t uid) {
    return account_name(uid).value_or("uid " + std::to_string(uid));
}

Done check_why_and_by(const std::string& why, const std::string& by) {
    const auto check = [](const char* option, const std::string& text, std::size_t longest) -> Done {
        if (!text.empty() && text.front() != ' ' && one_line(text, longest) == text) return {};
        return Error::usage(std::string(option) + " can't be recorded; allowed: one line of UTF-8, 1 to " +
                            std::to_string(longest) + " octets, no blanks at its ends");
    };
    if (auto done = check("--why", why, longest_why); !done) return done;
    return check("--by", by, longest_by);
}

}  // namespace kokuin
