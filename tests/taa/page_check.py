"""Is this a whole, balanced HTML page that needs nothing else? Prints its text, one piece a line.

page_check.py FILE LANGUAGE
"""
import html.parser
import sys

VOID = {'br', 'meta', 'path', 'rect'}  # path and rect: written <path …/>
KNOWN = {'html', 'head', 'meta', 'title', 'style', 'body', 'main', 'h1', 'h2', 'h3', 'p', 'table', 'thead', 'tbody', 'tr', 'th',
         'td', 'ul', 'li', 'br', 'svg', 'g', 'path', 'rect', 'text'}
LOADING = {'src', 'href', 'xlink:href', 'srcset', 'data', 'action', 'background', 'poster'}


class Page(html.parser.HTMLParser):
    def __init__(self, language):
        super().__init__()
        self.language, self.open, self.texts, self.seen = language, [], [], []

    def handle_starttag(self, tag, attributes):
        assert tag in KNOWN, f'<{tag}> at {self.getpos()}'
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), f'<{tag}> says {names} at {self.getpos()}'
        assert not LOADING & set(names) and not any(name.startswith('on') for name in names), f'<{tag} {names}>'
        if tag == 'html':
            assert dict(attributes) == {'lang': self.language}, attributes
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in VOID, f'<{tag}/> at {self.getpos()}'
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f'</{tag}> at {self.getpos()}'

    def handle_data(self, data):
        if self.open and self.open[-1] == 'style':
            assert 'url(' not in data and '@import' not in data
        elif data.strip():
            self.texts.append(data.strip())


path, language = sys.argv[1:]
with open(path, encoding='utf-8') as file:
    content = file.read()
assert content.startswith('<!DOCTYPE html>\n<html '), content[:40]
page = Page(language)
page.feed(content)
page.close()
assert not page.open, page.open
assert [page.seen.count(tag) for tag in ('html', 'head', 'body', 'h1')] == [1, 1, 1, 1]
print('\n'.join(page.texts))
