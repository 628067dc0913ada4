#include "tests/tools/tally.h"

#include <algorithm>
#include <cstdio>

namespace kokuin::load {
namespace {

std::string counts(const std::map<std::string, std::uint64_t>& from) {
    std::string text = "{";
    for (const auto& [name, count] : from)
        text += (text.size() > 1 ? ", \"" : "\"") + name + "\": " + std::to_string(count);
    return text + "}";
}

std::string number(const char* format, double value) {
    char text[64];
    std::snprintf(text, sizeof text, format, value);
    return text;
}

}  // namespace

std::string Tally::to_json() {
    std::sort(latencies_us.begin(), latencies_us.end());
    const auto at = [&](double part) {
        if (latencies_us.empty()) return std::string("null");
        const auto index = static_cast<std::size_t>(part * static_cast<double>(latencies_us.size() - 1));
        return number("%.3f", latencies_us[index] / 1000.0);
    };
    const double rate = seconds > 0 ? static_cast<double>(granted) / seconds : 0;
    return "{\"requests\": " + std::to_string(requests) + ", \"granted\": " + std::to_string(granted) +
           ", \"refused\": " + counts(refused) + ", \"errors\": " + counts(errors) +
           ", \"connects\": " + std::to_string(connects) + ", \"seconds\": " + number("%.3f", seconds) +
           ", \"rate\": " + number("%.1f", rate) + ", \"latency_ms\": {\"p50\": " + at(0.5) +
           ", \"p99\": " + at(0.99) + ", \"max\": " + at(1) +
           "}, \"cpu_seconds\": " + number("%.3f", cpu_seconds) + "}";
}

}  // namespace kokuin::load
