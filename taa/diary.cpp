#include "taa/diary.h"

#include <spdlog/spdlog.h>

#include "store/event_line.h"

namespace kokuin::taa {

Done Diary::record(const store::Event& event) {
    return append(wall_.now(), event);
}

Done Diary::announce(const store::Event& event) {
    const auto at = wall_.now();
    if (hook_) hook_->tell(store::event_line(at, event));
    return append(at, event);
}

Done Diary::append(WallTime at, const store::Event& event) {
    const auto number = archive_.append(at, event, {}, store::Archive::Month::stays);
    if (number) return {};
    spdlog::error("archive text=\"{} isn't recorded: {}\"", event.kind, number.error().text);
    return number.error();
}

}  // namespace kokuin::taa
