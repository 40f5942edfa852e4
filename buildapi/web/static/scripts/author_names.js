/* Names of authors, as the service shortens them (short_author in model/pushes.py). */

/* Return the name in "Name <address>", or what is before the @ of an address. */
export function shortAuthor(author) {
  const name = author.endsWith(">") ? author.split(" <")[0] : author.split("@")[0];
  return name.trim() || author;
}
