#include "tsa/copy_watch.h"

#include <spdlog/spdlog.h>

#include <variant>

#include "store/reader.h"
#include "store/recover.h"

namespace kokuin::tsa {
namespace {

constexpr const char* begun_kind = "copy.begun";
constexpr nanoseconds longest_lag = seconds(10);

bool is_about(const store::Record& record, const std::string& dir) {
    const auto* text = std::get<store::Event>(record.body).find<std::string>("dir");
    return text && *text == dir;
}

}  // namespace

Result<store::CopySettings> copy_settings(const std::string& archive, const std::string& copy, bool waits) {
    store::CopySettings settings{copy, waits, true};
    if (auto done = store::roll_back_broken_off(archive); !done) return std::move(done).error();
    const auto reader = store::ArchiveReader::open(archive);
    if (!reader) return reader.error();
    const auto begun = (*reader)->latest_event(begun_kind, "copy");
    if (!begun) return begun.error();
    settings.may_begin = !*begun || !is_about((*begun)->record, copy);
    return settings;
}

void CopyWatch::tick() {
    const auto state = archive_.copy();
    if (!state) return;
    const auto now = mono_.now();
    if (state->next >= wanted_) {
        wanted_ = archive_.state().next;
        since_ = now;
    }
    const bool failing = state->kind == store::CopyState::Kind::failing;
    if (!begun_ && !failing) begun_ = tell_begun(*state).ok();
    const bool behind = now - since_ > longest_lag;
    if (!late_ && (failing || behind)) {
        late_ = true;
        tell("copy.late", *state,
             failing ? "the archive's second place fails: " + state->text
                     : "the archive's second place is behind: it has " + std::to_string(state->next) +
                           " of more than " + std::to_string(wanted_) + " records");
    } else if (late_ && state->kind == store::CopyState::Kind::ready && !behind) {
        late_ = false;
        tell("copy.back", *state, "the archive's second place has every record again");
    }
}

Done CopyWatch::tell_begun(const store::CopyState& state) {
    const auto before = archive_.latest_event(begun_kind, "copy");
    if (!before) return before.error();
    if (*before && is_about(**before, state.dir)) return {};
    store::Event event;
    event.kind = begun_kind;
    event.subject = "copy";
    event.text = "the archive's second place is " + state.dir + " from now on";
    event.fields["dir"] = state.dir;
    return journal_.keep(std::move(event));
}

void CopyWatch::tell(const char* kind, const store::CopyState& state, const std::string& text) {
    store::Event event;
    event.kind = kind;
    event.subject = "copy";
    event.text = text;
    event.fields["dir"] = state.dir;
    event.fields["records"] = state.next;
    event.fields["waits"] = std::int64_t{state.waits ? 1 : 0};
    spdlog::log(late_ ? spdlog::level::err : spdlog::level::info, "archive {} text=\"{}\"", kind, text);
    (void)journal_.keep(std::move(event));
}

}  // namespace kokuin::tsa
