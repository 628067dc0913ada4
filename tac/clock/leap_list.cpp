#include "tac/clock/leap_list.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "base/file.h"
#include "pki/hash.h"

namespace kokuin::tac::clock {
namespace {

constexpr seconds since_1900{2'208'988'800};  // from 1900 to 1970
constexpr nanoseconds read_every = std::chrono::hours(1);
constexpr nanoseconds again_after_trouble = std::chrono::minutes(1);
constexpr std::size_t largest_file = 1U << 20U;

std::string_view next_word(std::string_view& rest) {
    const auto begin = std::min(rest.find_first_not_of(" \t\r"), rest.size());
    rest.remove_prefix(begin);
    const auto end = std::min(rest.find_first_of(" \t\r"), rest.size());
    const auto word = rest.substr(0, end);
    rest.remove_prefix(end);
    return word;
}

std::optional<std::int64_t> number(std::string_view word) {
    std::int64_t value = 0;
    const auto [end, fault] = std::from_chars(word.data(), word.data() + word.size(), value);
    // Years 1900 to 2200.
    if (word.empty() || fault != std::errc() || end != word.data() + word.size() || value < 0 ||
        value > 9'500'000'000)
        return std::nullopt;
    return value;
}

WallTime moment(std::int64_t ntp) {
    return WallTime(seconds(ntp) - since_1900);
}

// SHA-1 over the digits of the update, of the expiry and of the lines, as five words in hex (the readme of
// the list). Against a broken file, not against an opponent.
std::string digest_of(const std::string& digits) {
    const auto octets = pki::digest(pki::Hash::sha1, as_view(digits));
    std::string words;
    for (std::size_t i = 0; i < octets.size(); i += 4)
        words += (i == 0 ? "" : " ") + to_hex(View(octets).subspan(i, 4));
    return words;
}

// Leading zeros of a word are left away by some who write the list.
bool same_words(std::string_view a, std::string_view b) {
    while (true) {
        auto word_a = next_word(a);
        auto word_b = next_word(b);
        if (word_a.empty() || word_b.empty()) return word_a.empty() && word_b.empty();
        word_a.remove_prefix(std::min(word_a.find_first_not_of('0'), word_a.size()));
        word_b.remove_prefix(std::min(word_b.find_first_not_of('0'), word_b.size()));
        if (word_a != word_b) return false;
    }
}

}  // namespace

Result<LeapList> LeapList::parse(std::string_view text) {
    LeapList list;
    std::string update;
    std::string expiry;
    std::string digits;
    std::string hash;
    std::optional<std::int64_t> last_moment;
    std::int64_t last_difference = 0;
    int line_number = 0;
    const auto wrong = [&](const char* what) {
        return Error::environment("line " + std::to_string(line_number) + ": " + what +
                                  "; get the list again (package tzdata, or the IERS)");
    };
    while (!text.empty()) {
        ++line_number;
        const auto end = std::min(text.find('\n'), text.size());
        auto line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.starts_with("#$") || line.starts_with("#@")) {
            auto rest = line.substr(2);
            const auto word = next_word(rest);
            if (!number(word)) return wrong("no time");
            (line[1] == '$' ? update : expiry) = word;
        } else if (line.starts_with("#h")) {
            hash = line.substr(2);
        }
        if (line.starts_with('#')) continue;
        line = line.substr(0, line.find('#'));
        const auto word = next_word(line);
        if (word.empty()) continue;
        const auto at = number(word);
        const auto difference_word = next_word(line);
        const auto difference = number(difference_word);
        if (!at || !difference || !next_word(line).empty()) return wrong("no pair of numbers");
        if (last_moment && *at <= *last_moment) return wrong("not later than the line before");
        if (*at % 86'400 != 0) return wrong("not a midnight");
        digits += std::string(word) + std::string(difference_word);
        if (last_moment) {
            const auto step = *difference - last_difference;
            if (step != 1 && step != -1) return wrong("neither a second more nor a second less");
            list.leaps.push_back({moment(*at), static_cast<int>(step)});
        }
        last_moment = at;
        last_difference = *difference;
    }
    line_number = 0;
    if (expiry.empty()) return wrong("it doesn't say when it expires (#@)");
    if (!last_moment) return wrong("it holds no leap second");
    if (!hash.empty() && !same_words(hash, digest_of(update + expiry + digits)))
        return wrong("its hash (#h) is wrong");
    list.expires = moment(*number(expiry));
    return list;
}

std::vector<LeapSecond> LeapList::between(WallTime from, WallTime to) const {
    std::vector<LeapSecond> found;
    std::copy_if(leaps.begin(), leaps.end(), std::back_inserter(found),
                 [&](const LeapSecond& leap) { return leap.midnight >= from && leap.midnight <= to; });
    return found;
}

Result<std::shared_ptr<const LeapList>> LeapFile::read(MonoTime now) const {
    const std::lock_guard lock(mutex_);
    if (!read_at_ || now - *read_at_ >= (list_ ? read_every : again_after_trouble)) {
        read_at_ = now;
        list_.reset();
        const auto content = read_file(path_, largest_file);
        if (!content) {
            trouble_ = content.error().text;
        } else if (auto parsed = LeapList::parse(as_text(*content)); !parsed) {
            trouble_ = path_ + ": " + parsed.error().text;
        } else {
            list_ = std::make_shared<const LeapList>(std::move(*parsed));
        }
    }
    if (!list_) return Error::environment(trouble_);
    return list_;
}

}  // namespace kokuin::tac::clock
