"""Everything made for eyes: terminal, Markdown, figures. It reads files and the table."""
