#include "audit/restored.h"

#include <algorithm>
#include <variant>

#include "base/text.h"
#include "base/time.h"

namespace kokuin::audit {
namespace {

template <typename T>
std::optional<T> field_of(const store::Event& event, const char* key) {
    const auto field = event.fields.find(key);
    const auto* value = field == event.fields.end() ? nullptr : std::get_if<T>(&field->second);
    return value ? std::optional<T>(*value) : std::nullopt;
}

std::optional<std::uint64_t> count_of(const store::Event& event, const char* key) {
    const auto value = field_of<std::int64_t>(event, key);
    if (!value || *value < 0) return std::nullopt;
    return static_cast<std::uint64_t>(*value);
}

}  // namespace

std::optional<Restored> restored_with(store::SegmentScan& scan) {
    const auto der = scan.record(scan.facts().first);
    if (!der || !*der) return std::nullopt;
    const auto record = store::decode_bare(**der);
    const auto* event = record ? std::get_if<store::Event>(&record->body) : nullptr;
    if (!event || event->kind != "archive.restored") return std::nullopt;
    Restored restored;
    restored.segment = scan.facts().name;
    restored.number = record->number;
    restored.at_us = record->at_us;
    restored.from_origin = field_of<std::string>(*event, "from_origin").value_or("");
    restored.origin = event->subject;
    restored.size = count_of(*event, "size").value_or(0);
    restored.witnessed = count_of(*event, "witnessed_size");
    restored.lost = count_of(*event, "lost").value_or(0);
    restored.lost_tokens = count_of(*event, "lost_tokens").value_or(0);
    restored.custodians = field_of<std::string>(*event, "custodians").value_or("");
    restored.why = field_of<std::string>(*event, "why").value_or("");
    return restored;
}

std::string text_of(const Restored& restored) {
    std::string text = "restored at " + to_rfc3339(from_unix_us(restored.at_us)) + " with " +
                       std::to_string(restored.size) + " records; ";
    if (restored.lost > 0)
        text += std::to_string(restored.lost) + " are lost, " + std::to_string(restored.lost_tokens) +
                " of them known to be tokens (the list: record " + std::to_string(restored.number) + ")";
    else
        text += restored.witnessed ? "none is lost of those that were seen outside"
                                   : "nobody could tell whether any is lost";
    text += "; by " + (restored.custodians.empty() ? "one person alone" : restored.custodians) + ": " +
            restored.why;
    return one_line(text, any_length);
}

}  // namespace kokuin::audit
