def safe_cell(text: str) -> str:
    """Return the text as a cell that no spreadsheet runs as a formula: names come from people and
    models.
    """
    return text if not text or text[0].isalnum() else "'" + text
