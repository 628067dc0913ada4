#include "evidence/month.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/der.h"

namespace kokuin::evidence {
namespace {

/// What an object's leaf is in a layer, its chains of the layers before being these.
Bytes leaf_of(pki::Hash hash, View octets, const Sequence& before) {
    Bytes own = pki::digest(hash, octets);
    if (before.empty()) return own;
    return renewed(hash, own, pki::digest(hash, encode_sequence(before, before.size())));
}

Chain chain_of(const Layer& layer, const Bytes& leaf, const std::vector<Bytes>& siblings) {
    std::vector<ArchiveTimeStamp> stamps;
    HashList earlier;
    for (const Bytes& stamp : layer.stamps) {
        std::vector<HashList> reduced;
        if (stamps.empty()) {
            reduced = reduced_tree(leaf, siblings);
        } else if (earlier.size() > 1) {
            reduced = {earlier};
        }
        stamps.push_back({layer.hash, std::move(reduced), stamp});
        earlier.push_back(pki::digest(layer.hash, stamp));
        std::sort(earlier.begin(), earlier.end());
    }
    return make_chain(std::move(stamps));
}

std::vector<Bytes> leaves_of(pki::Hash hash, const std::vector<Object>& tokens,
                             const std::vector<Sequence>& before) {
    std::vector<Bytes> leaves;
    leaves.reserve(tokens.size());
    for (std::size_t i = 0; i < tokens.size(); ++i)
        leaves.push_back(leaf_of(hash, tokens[i].octets, before[i]));
    return leaves;
}

}  // namespace

Grouping Grouping::of(store::RecordNumber first, store::RecordNumber end) {
    Grouping grouping{first, end, 256};
    while (grouping.groups() > 4096) grouping.span *= 2;
    return grouping;
}

std::size_t Grouping::groups() const {
    return end <= first ? 0 : static_cast<std::size_t>((end - first + span - 1) / span);
}

std::size_t Grouping::group_of(store::RecordNumber number) const {
    return static_cast<std::size_t>((number - first) / span);
}

store::RecordNumber Grouping::begin_of(std::size_t group) const {
    return std::min(end, first + static_cast<std::int64_t>(group) * span);
}

Bytes encode_groups(const Grouping& grouping, const std::vector<Bytes>& roots) {
    Bytes list;
    for (const Bytes& root : roots) append(list, der::octets(root));
    return der::sequence({der::integer(grouping.span), der::tlv(der::sequence_tag, list)});
}

Result<std::vector<Bytes>> decode_groups(View input, pki::Hash hash, Grouping& grouping) {
    der::Reader outer(input);
    der::Reader groups = outer.enter(der::sequence_tag, "Groups");
    grouping.span = groups.read_int64("span");
    if ((grouping.span < 1 || grouping.span > Grouping::of(grouping.first, grouping.end).span) &&
        !groups.failed())
        groups.fail("span can't be that");
    der::Reader list = groups.enter(der::sequence_tag, "roots");
    std::vector<Bytes> roots;
    while (!list.at_end()) {
        roots.push_back(list.read_octets("a root"));
        if (!roots.back().empty() && roots.back().size() != pki::length(hash) && !list.failed())
            list.fail("a root is no hash");
    }
    groups.finish("Groups");
    outer.finish("Groups");
    if (!outer.failed() && roots.size() == grouping.groups()) return roots;
    return Error::environment(
        "the groups of a seal can't be read" +
        (outer.failed() ? ": " + outer.fault().text() : std::string(": they aren't as many as the month's")));
}

Bytes renewal_imprint(pki::Hash hash, const std::vector<Bytes>& stamps) {
    HashList earlier;
    for (const Bytes& stamp : stamps) earlier.push_back(pki::digest(hash, stamp));
    return father_of(hash, std::move(earlier));
}

Month::Month(Grouping grouping, Bytes head, std::vector<Layer> layers)
    : grouping_(grouping), head_(std::move(head)), layers_(std::move(layers)) {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        tops_.push_back(top(i, layers_[i].hash, layers_[i].groups));
        head_chains_.push_back(chain_of(layers_[i], tops_[i].leaf(0), tops_[i].siblings(0)));
    }
}

Tree Month::top(std::size_t index, pki::Hash hash, const std::vector<Bytes>& groups) const {
    const Sequence before(head_chains_.begin(), head_chains_.begin() + static_cast<std::ptrdiff_t>(index));
    std::vector<Bytes> leaves{leaf_of(hash, head_, before)};
    for (const Bytes& group : groups)
        if (!group.empty()) leaves.push_back(group);
    return Tree(hash, std::move(leaves));
}

std::vector<Sequence> Month::chains(std::size_t count, const std::vector<Object>& tokens) const {
    std::vector<Sequence> all(tokens.size());
    if (tokens.empty()) return all;
    const std::size_t group = grouping_.group_of(tokens.front().number);
    for (std::size_t i = 0; i < count; ++i) {
        const Layer& layer = layers_[i];
        const Tree tree(layer.hash, leaves_of(layer.hash, tokens, all));
        const auto at =
            1 + std::count_if(layer.groups.begin(), layer.groups.begin() + static_cast<std::ptrdiff_t>(group),
                              [](const Bytes& root) { return !root.empty(); });
        const auto above = tops_[i].siblings(static_cast<std::size_t>(at));
        for (std::size_t token = 0; token < tokens.size(); ++token) {
            auto siblings = tree.siblings(token);
            siblings.insert(siblings.end(), above.begin(), above.end());
            all[token].push_back(chain_of(layer, tree.leaf(token), siblings));
        }
    }
    return all;
}

Bytes Month::group_root(std::size_t index, pki::Hash hash, const std::vector<Object>& tokens) const {
    if (tokens.empty()) return {};
    const auto used = index < layers_.size() ? layers_[index].hash : hash;
    return Tree(used, leaves_of(used, tokens, chains(index, tokens))).root();
}

Bytes Month::imprint(std::size_t index, pki::Hash hash, const std::vector<Bytes>& groups) const {
    return top(index, index < layers_.size() ? layers_[index].hash : hash, groups).root();
}

Result<Sequence> Month::evidence(store::RecordNumber number, const std::vector<Object>& tokens) const {
    if (layers_.empty()) return Error::no("the month has no time-stamp of another organisation");
    if (number < grouping_.first || number >= grouping_.end)
        return Error::no("record " + std::to_string(number) + " isn't one of the month's");
    const auto at = std::find_if(tokens.begin(), tokens.end(),
                                 [number](const Object& token) { return token.number == number; });
    if (at == tokens.end()) return Error::no("record " + std::to_string(number) + " holds no token");
    return chains(layers_.size(), tokens)[static_cast<std::size_t>(at - tokens.begin())];
}

}  // namespace kokuin::evidence
