#include "hsm/custody/approvals.h"

#include "hsm/custody/papers/json.h"
#include "tests/custody/held.h"

using namespace kokuin;
using namespace kokuin::hsm::custody;

namespace {

struct SetMono final : MonoClock {
    MonoTime time{};
    [[nodiscard]] MonoTime now() const override { return time; }
};

/// Approvals with what they did. Not copyable: the parts name it.
struct Board {
    SetMono mono;
    Done records;
    Done possible;
    std::vector<std::pair<store::Event, std::vector<store::Blob>>> events;
    std::vector<Agreement> done;
    Approvals approvals{[] { return usual().ceremony.roster; },
                        {"tsad", std::string(64, 'a'), mono,
                         [this](const store::Event& event, const std::vector<store::Blob>& blobs) {
                             if (records) events.emplace_back(event, blobs);
                             return records;
                         }}};

    Board() = default;
    Board(const Board&) = delete;
    Board& operator=(const Board&) = delete;

    Result<Proposal> propose(const std::string& content = "key k") {
        return approvals.propose(
            {"key-destroy", content, "why", "by", "root"}, [this] { return possible; },
            [this](const Agreement& agreement) {
                done.push_back(agreement);
                return Result<std::string>(std::string("done"));
            });
    }
    Result<Approvals::Outcome> approve(const Proposal& proposal, std::size_t custodian) {
        const auto& name = usual().ceremony.roster.custodians[custodian].name;
        return approvals.approve(
            proposal.id,
            hsm::custody::approve(proposal.statement, name, usual().ceremony.seeds[custodian].view()));
    }
};

}  // namespace

TEST_CASE("An act is done with the signature of the second of three, once, and recorded before") {
    Board board;
    const auto proposal = must(board.propose());
    CHECK(proposal.threshold == 2);
    CHECK(must(Proposal::from_json(proposal.to_json())).statement == proposal.statement);
    const auto first = must(board.approve(proposal, 2));
    CHECK_FALSE(first.done);
    CHECK(first.proposal.given == std::vector<std::string>{"c"});
    CHECK(board.done.empty());
    CHECK_FALSE(must(board.approve(proposal, 2)).done);  // the same again
    const auto second = must(board.approve(proposal, 0));
    CHECK(second.done);
    CHECK(second.text == "done");
    REQUIRE(board.done.size() == 1);
    CHECK(board.done.front().custodians == "c, a");
    CHECK(board.done.front().id == proposal.statement.nonce);
    CHECK(board.approvals.waiting().empty());
    CHECK_FALSE(board.approve(proposal, 1));
    REQUIRE(board.events.size() == 2);
    CHECK(board.events[0].first.kind == "custody.proposed");
    const auto& [agreed, blobs] = board.events[1];
    CHECK(agreed.kind == "custody.agreed");
    REQUIRE(blobs.size() == 1);
    const auto kept = Json::parse(as_text(blobs.front().content()));
    CHECK(kept["approvals"].size() == 2);
    for (const auto& one : kept["approvals"]) {
        const auto statement = one["statement"].get<std::string>();
        CHECK(statement.find("act: key-destroy\n") != std::string::npos);
        CHECK(statement.find("content: key k\n") != std::string::npos);
        const auto& key = usual().ceremony.roster.find(one["custodian"].get<std::string>())->keys.signing;
        CHECK(verify(key, as_view(statement), *from_hex(one["signature"].get<std::string>())));
    }
}

TEST_CASE("While it can't be done the last signature isn't used up, and nothing says that it was agreed") {
    Board board;
    const auto proposal = must(board.propose());
    (void)must(board.approve(proposal, 0));
    board.possible = Error::environment("locked");
    const auto not_now = board.approve(proposal, 1);
    REQUIRE_FALSE(not_now);
    CHECK(not_now.error().text.find("locked") != std::string::npos);
    CHECK(board.events.size() == 1);
    board.possible = {};
    CHECK(must(board.approve(proposal, 1)).done);
}

TEST_CASE("A signature counts for one proposal and one custodian of this ceremony") {
    Board board;
    const auto one = must(board.propose("key one"));
    const auto two = must(board.propose("key two"));
    const auto& held = usual().ceremony;
    // Under the other's statement; of nobody; with another's name.
    CHECK_FALSE(
        board.approvals.approve(one.id, hsm::custody::approve(two.statement, "a", held.seeds[0].view())));
    CHECK_FALSE(
        board.approvals.approve(one.id, hsm::custody::approve(one.statement, "d", held.seeds[0].view())));
    CHECK_FALSE(
        board.approvals.approve(one.id, hsm::custody::approve(one.statement, "b", held.seeds[0].view())));
    CHECK_FALSE(
        board.approvals.approve("00000000", hsm::custody::approve(one.statement, "a", held.seeds[0].view())));
    auto changed = one.statement;
    changed.content = "key three";
    CHECK_FALSE(board.approvals.approve(one.id, hsm::custody::approve(changed, "a", held.seeds[0].view())));
    CHECK(board.approvals.waiting().front().given.empty());
    CHECK(board.approvals.waiting().back().given.empty());
}

TEST_CASE("Proposals wait for a day, once each, and not without end") {
    Board board;
    const auto proposal = must(board.propose());
    const auto again = board.propose();
    REQUIRE_FALSE(again);
    CHECK(again.error().text.find(proposal.id) != std::string::npos);
    for (int i = 1; i < 16; ++i) (void)must(board.propose("key " + std::to_string(i)));
    CHECK_FALSE(board.propose("one too many"));
    (void)must(board.approve(proposal, 0));
    board.mono.time += std::chrono::hours(24) + seconds(1);
    CHECK(board.approvals.waiting().empty());
    CHECK_FALSE(board.approve(proposal, 1));
    CHECK(board.done.empty());
    (void)must(board.propose());
}

TEST_CASE("What can't be recorded isn't done; the last signature may be given again") {
    Board board;
    board.records = Error::environment("disk full");
    CHECK_FALSE(board.propose());
    CHECK(board.approvals.waiting().empty());
    board.records = {};
    const auto proposal = must(board.propose());
    (void)must(board.approve(proposal, 0));
    board.records = Error::environment("disk full");
    const auto full = board.approve(proposal, 1);
    REQUIRE_FALSE(full);
    CHECK(full.error().kind == Error::Kind::environment);
    CHECK(board.done.empty());
    board.records = {};
    CHECK(must(board.approve(proposal, 1)).done);
    CHECK(board.done.size() == 1);
}
