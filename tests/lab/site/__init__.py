"""``make docs``: the pages of docs/ and what the code says of itself, as a site in .lab/site.

pages      the pages as the site has them: links between them, and none to files it has not
reference  settings, commands, models and the HTTP API, from the code
diagrams   what draws the pages' diagrams, served by the site itself
mkdocs.yml what mkdocs-material makes of it
__main__   stages all of it and builds; a broken link is an error
"""
