#include "store/imports.h"

#include <algorithm>

#include "store/retention.h"

namespace kokuin::store {
namespace {

const std::string import_prefix = "import.";
const std::string erased_kind = "import.erased";
constexpr std::string_view erased_state = "erased";
constexpr std::string_view left_state = "still there";
constexpr std::string_view unseen_state = "not looked at";

template <typename T>
const T* field_of(const Event& event, const char* key) {
    const auto at = event.fields.find(key);
    return at == event.fields.end() ? nullptr : std::get_if<T>(&at->second);
}

Result<Import> import_of(const Found& found) {
    const Event& event = found.event();
    Import out;
    out.kind = event.kind.substr(import_prefix.size());
    out.subject = event.subject;
    out.at = from_unix_us(found.record.at_us);
    out.number = found.record.number;
    const auto* id = field_of<std::string>(event, "id");
    const auto* octets = field_of<std::int64_t>(event, "octets");
    const auto* from = field_of<std::int64_t>(event, "from_us");
    const auto* to = field_of<std::int64_t>(event, "to_us");
    const auto* hmac = field_of<Bytes>(event, "hmac");
    if (!id || !is_content_id(*id) || !octets || !from || !to || !hmac ||
        hmac->size() != out.content.hmac.size())
        return Error::environment(found.segment + ", record " + std::to_string(found.record.number) + " (" +
                                  event.kind + "): says what can't be; restore a copy of this segment");
    out.content.id = *id;
    out.content.size = *octets;
    std::copy(hmac->begin(), hmac->end(), out.content.hmac.begin());
    out.from = from_unix_us(*from);
    out.to = from_unix_us(*to);
    for (const auto& [key, text] : {std::pair("why", &out.why), {"by", &out.by}, {"account", &out.account}})
        if (const auto* value = field_of<std::string>(event, key)) *text = *value;
    return out;
}

}  // namespace

const std::vector<std::string>& import_kinds() {
    static const std::vector<std::string> kinds{"room-entry", "subscription", "other"};
    return kinds;
}

WallTime kept_until(const Import& import) {
    return years_later(import.to, retention_of(import_prefix + import.kind).years);
}

Event event_of(const Import& import) {
    Event event;
    event.kind = import_prefix + import.kind;
    event.subject = import.subject;
    event.text = "imported: " + import.kind + " of " + to_rfc3339(import.from, 0) + " to " +
                 to_rfc3339(import.to, 0) + ", " + std::to_string(import.content.size) +
                 " octets, apart as " + import.content.id;
    event.fields = {{"id", import.content.id},
                    {"octets", import.content.size},
                    {"from_us", to_unix_us(import.from)},
                    {"to_us", to_unix_us(import.to)},
                    {"hmac", Bytes(import.content.hmac.begin(), import.content.hmac.end())},
                    {"why", import.why},
                    {"by", import.by},
                    {"account", import.account}};
    return event;
}

Event event_of(const Erasure& erasure) {
    Event event;
    event.kind = erased_kind;
    event.subject = erasure.id;
    event.text = "the content of the import " + erasure.id + " is erased: " + erasure.why;
    event.fields = {
        {"id", erasure.id}, {"why", erasure.why}, {"by", erasure.by}, {"account", erasure.account}};
    if (!erasure.agreed_in.empty()) event.fields["agreed_in"] = erasure.agreed_in;
    if (!erasure.custodians.empty()) event.fields["custodians"] = erasure.custodians;
    return event;
}

Result<std::vector<Import>> read_imports(const EventSource& events) {
    std::vector<Import> out;
    std::optional<Error> bad;
    for (const auto& kind : import_kinds()) {
        EventQuery query;
        query.kind = import_prefix + kind;
        auto done = events(query, [&](const Found& found) {
            auto import = import_of(found);
            if (!import)
                bad = std::move(import).error();
            else
                out.push_back(std::move(*import));
            return !bad;
        });
        if (!done) return std::move(done).error();
        if (bad) return *bad;
    }
    EventQuery query;
    query.kind = erased_kind;
    auto done = events(query, [&](const Found& found) {
        const auto* id = field_of<std::string>(found.event(), "id");
        for (auto& import : out)
            if (id && import.content.id == *id && !import.erased) {
                import.erased = from_unix_us(found.record.at_us);
                import.erased_by = found.record.number;
            }
        return true;
    });
    if (!done) return std::move(done).error();
    std::sort(out.begin(), out.end(), [](const Import& a, const Import& b) { return a.number < b.number; });
    return out;
}

bool ImportsView::ok() const {
    return strays.empty() && std::all_of(imports.begin(), imports.end(), [](const ImportView& one) {
               return one.state == name(ContentState::whole) || one.state == erased_state ||
                      one.state == unseen_state;
           });
}

Result<ImportsView> look_at_imports(const EventSource& events, const PersonalFolder* folder, WallTime now) {
    // First the files: one whose event comes meanwhile is no stray.
    ImportsView out;
    if (folder) {
        auto files = folder->files();
        if (!files) return std::move(files).error();
        out.strays = std::move(*files);
    }
    auto imports = read_imports(events);
    if (!imports) return std::move(imports).error();
    for (auto& import : *imports) {
        ImportView view;
        const auto state = folder ? folder->state(import.content) : ContentState::missing;
        view.state = !import.erased ? std::string(folder ? name(state) : unseen_state)
                                    : std::string(state == ContentState::missing ? erased_state : left_state);
        view.past = !import.erased && kept_until(import) <= now;
        std::erase(out.strays, import.content.id);
        view.import = std::move(import);
        out.imports.push_back(std::move(view));
    }
    return out;
}

}  // namespace kokuin::store
