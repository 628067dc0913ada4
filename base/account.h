// Who is at work: the accounts of this machine, and what an operator says of a step.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/result.h"

namespace kokuin {

/// The name of an account; nothing if the machine has none for this uid. Thread-safe.
std::optional<std::string> account_name(uid_t uid);
/// The same for records: "uid 1234" where there is no name.
std::string account_text(uid_t uid);

constexpr std::size_t longest_why = 1000;
constexpr std::size_t longest_by = 200;
/// True to record: one line of UTF-8 each, not empty, no blanks at the ends, at most longest_why and
/// longest_by octets. Error (usage) names the option (--why, --by).
Done check_why_and_by(const std::string& why, const std::string& by);

}  // namespace kokuin
