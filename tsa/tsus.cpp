#include "tsa/tsus.h"

#include <algorithm>
#include <utility>

namespace kokuin::tsa {
namespace {

Tsus::List::iterator find_in(Tsus::List& list, const std::string& name) {
    return std::find_if(list.begin(), list.end(), [&name](const auto& tsu) { return tsu->name() == name; });
}

}  // namespace

Tsus::Tsus(List signing) : now_(std::move(signing)) {
    publish();
}

void Tsus::publish() {
    List all = now_;
    all.insert(all.end(), waiting_.begin(), waiting_.end());
    audited_.store(std::make_shared<const List>(std::move(all)));
    signing_.store(std::make_shared<const List>(now_));
}

std::shared_ptr<Tsu> Tsus::find(const std::string& name) const {
    const auto list = signing();
    for (const auto& tsu : *list)
        if (tsu->name() == name) return tsu;
    return nullptr;
}

bool Tsus::wait(std::shared_ptr<Tsu> successor) {
    const std::lock_guard lock(mutex_);
    if (find_in(waiting_, successor->name()) != waiting_.end()) return false;
    waiting_.push_back(std::move(successor));
    publish();
    return true;
}

void Tsus::give_up(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto at = find_in(waiting_, name);
    if (at == waiting_.end()) return;
    waiting_.erase(at);
    publish();
}

std::shared_ptr<Tsu> Tsus::take_over(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto next = find_in(waiting_, name);
    const auto old = find_in(now_, name);
    if (next == waiting_.end() || old == now_.end()) return nullptr;
    auto before = std::exchange(*old, *next);
    waiting_.erase(next);
    publish();
    return before;
}

}  // namespace kokuin::tsa
