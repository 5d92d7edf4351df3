"""From the text of personas.yaml to checked values, with the place of every mistake."""
