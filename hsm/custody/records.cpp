#include "hsm/custody/records.h"

#include "pki/hash.h"
#include "store/reader.h"

namespace kokuin::hsm::custody {
namespace {

constexpr const char* shared = "custody.shared";
constexpr const char* activated = "custody.activated";
constexpr const char* resharing = "custody.resharing";

}  // namespace

SharedEvent shared_event(const Roster& roster) {
    const auto json = roster.to_json();
    SharedEvent made{{}, store::Blob(Bytes(json.begin(), json.end()))};
    made.event.kind = shared;
    made.event.subject = roster.token;
    made.event.text = "the PINs are with " + roster.text();
    made.event.fields["ceremony"] = roster.ceremony;
    made.event.fields["generation"] = static_cast<std::int64_t>(roster.generation);
    made.event.blobs.push_back(made.roster.id());
    return made;
}

store::Event key_event(const std::string& kind, const std::string& label, View spki,
                       const std::string& account, const std::string& custodians) {
    store::Event event;
    event.kind = kind;
    event.subject = label;
    event.fields["key"] = label;
    event.fields["spki_sha256"] = to_hex(pki::digest(pki::Hash::sha256, spki));
    event.fields["account"] = account;
    if (!custodians.empty()) event.fields["custodians"] = custodians;
    return event;
}

namespace {

/// The roster that this record carries.
Result<Roster> roster_of(store::ArchiveReader& reader, const store::Found& found,
                         const std::string& archive) {
    const auto& blobs = found.event().blobs;
    if (blobs.empty())
        return Error::environment(archive + ": the roster of the token '" + found.event().subject +
                                  "' is missing");
    const auto json = reader.blob(blobs.front(), found.segment);
    if (!json) return json.error();
    auto roster = Roster::from_json(as_text(*json));
    if (!roster) return std::move(roster).error().in(archive);
    return roster;
}

}  // namespace

Result<Rosters> read_rosters(const std::string& archive, const std::string& token) {
    auto reader = store::ArchiveReader::open(archive);
    if (!reader) return std::move(reader).error();
    Rosters rosters;
    const auto in_force = (*reader)->latest_event(shared, token);
    if (!in_force) return in_force.error();
    if (!*in_force) return rosters;
    auto roster = roster_of(**reader, **in_force, archive);
    if (!roster) return std::move(roster).error();
    rosters.in_force = std::move(*roster);
    const auto begun = (*reader)->latest_event(resharing, token);
    if (!begun) return begun.error();
    if (*begun && (*begun)->record.number > (*in_force)->record.number) {
        auto next = roster_of(**reader, **begun, archive);
        if (!next) return std::move(next).error();
        rosters.next = std::move(*next);
    }
    return rosters;
}

Result<std::optional<Roster>> read_roster(const std::string& archive, const std::string& token) {
    auto rosters = read_rosters(archive, token);
    if (!rosters) return std::move(rosters).error();
    return std::move(rosters->in_force);
}

Result<std::optional<std::string>> read_agreed_settings(const std::string& archive,
                                                        const std::string& token) {
    auto reader = store::ArchiveReader::open(archive);
    if (!reader) return std::move(reader).error();
    const auto found = (*reader)->latest_event(activated, token);
    if (!found) return found.error();
    if (!*found) return std::optional<std::string>();
    const auto* settings = (*found)->event().find<std::string>("settings");
    return settings ? std::optional(*settings) : std::nullopt;
}

}  // namespace kokuin::hsm::custody
