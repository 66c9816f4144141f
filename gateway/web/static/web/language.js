// The language of the page. Its texts come from the catalogue of this language, which the page loads
// before its modules: Django's JavaScriptCatalog, with gettext() and ngettext().
export const language = document.documentElement.lang;

// Return a function that gives the text of a key with its values. `{name}` stands for a value; numbers
// are to be given as they are to be read. A text with several forms is a function of the value `count`.
export function messagesOf(texts) {
  return (key, values = {}) => {
    const text = texts[key];
    const form = typeof text === "string" ? text : text(values.count);
    return form.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  };
}

// Return a number as it is read in the page's language, with so many decimals.
export function written(value, decimals = 0) {
  return value.toLocaleString(language, { maximumFractionDigits: decimals, minimumFractionDigits: decimals });
}
