#include "ca/books.h"

#include "store/reader.h"

namespace kokuin::ca {

Result<Register> look_into(const std::string& archive) {
    auto reader = store::ArchiveReader::open(archive);
    if (!reader) return std::move(reader).error();
    auto read = read_register(
        {[&](const store::EventQuery& query, const store::Visitor& visit) {
             return (*reader)->events(query, visit);
         },
         [&](const store::BlobId& id, const std::string& segment) { return (*reader)->blob(id, segment); },
         (*reader)->id()});
    if (!read) return std::move(read).error().in(archive);
    return read;
}

Result<Register> Books::read_again() const {
    auto read = read_register(
        {[this](const store::EventQuery& query, const store::Visitor& visit) {
             return archive_->events(query, visit);
         },
         [this](const store::BlobId& id, const std::string& segment) { return archive_->blob(id, segment); },
         archive_->id()});
    if (!read) return read;
    if (read->records != archive_->state().next)
        return Error::environment("there are " + std::to_string(archive_->state().next) +
                                  " records, but only " + std::to_string(read->records) +
                                  " are listed; the archive was changed: restore it from its copy");
    return read;
}

Result<std::unique_ptr<Books>> Books::open(const std::string& archive, const WallClock& clock) {
    auto opened = store::Archive::open(archive);
    if (!opened) return std::move(opened).error();
    std::unique_ptr<Books> books(new Books(std::move(*opened), clock));
    auto read = books->read_again();
    if (!read) return std::move(read).error().in(archive);
    books->register_ = std::move(*read);
    if (const auto last = books->register_.last; last && clock.now() < *last)
        return Error::environment("this machine's clock says " + to_rfc3339(clock.now(), 0) +
                                  ", but the last record is of " + to_rfc3339(*last, 0) +
                                  "; set the clock, then do this again");
    return books;
}

Done Books::record(const store::Event& event, const std::vector<store::Blob>& blobs) {
    // Nobody has proved this clock: it begins no month.
    const auto number = archive_->append(clock_.now(), event, blobs, store::Archive::Month::stays);
    return number ? Done() : Done(number.error());
}

}  // namespace kokuin::ca
