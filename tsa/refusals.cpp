#include "tsa/refusals.h"

#include <utility>

namespace kokuin::tsa {

void Refusals::count(tsp::FailInfo info, const std::string& cause) {
    const auto key = std::string(tsp::name(info)) + "/" + cause;
    const std::lock_guard lock(mutex_);
    ++total_[key];
    ++recent_[key];
}

std::optional<store::Event> Refusals::take() {
    std::map<std::string, std::int64_t> recent;
    {
        const std::lock_guard lock(mutex_);
        recent = std::exchange(recent_, {});
    }
    if (recent.empty()) return std::nullopt;
    store::Event event;
    event.kind = "refusals";
    std::int64_t sum = 0;
    for (const auto& [key, count] : recent) {
        event.fields[key] = count;
        sum += count;
    }
    event.text = std::to_string(sum) + (sum == 1 ? " request" : " requests") + " refused";
    return event;
}

void Refusals::put_back(const store::Event& taken) {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, value] : taken.fields)
        if (const auto* count = std::get_if<std::int64_t>(&value)) recent_[key] += *count;
}

std::map<std::string, std::int64_t> Refusals::totals() const {
    const std::lock_guard lock(mutex_);
    return total_;
}

}  // namespace kokuin::tsa
