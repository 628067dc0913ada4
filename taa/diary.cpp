#include "taa/diary.h"

#include <spdlog/spdlog.h>

#include "store/event_line.h"

namespace kokuin::taa {

Done Diary::record(const store::Event& event, const std::vector<store::Blob>& blobs) {
    return append(wall_.now(), event, blobs);
}

Done Diary::announce(const store::Event& event, const std::vector<store::Blob>& blobs) {
    const auto at = wall_.now();
    if (hook_) hook_->tell(store::event_line(at, event));
    return append(at, event, blobs);
}

void Diary::tell(const store::Event& event) {
    if (hook_) hook_->tell(store::event_line(wall_.now(), event));
}

Done Diary::append(WallTime at, const store::Event& event, const std::vector<store::Blob>& blobs) {
    const auto number = archive_.append(at, event, blobs, store::Archive::Month::stays);
    if (number) return {};
    spdlog::error("archive text=\"{} isn't recorded: {}\"", event.kind, number.error().text);
    return number.error();
}

}  // namespace kokuin::taa
