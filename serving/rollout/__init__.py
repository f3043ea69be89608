"""This package takes challengers from shadow to champion, or back: evidence, rulings, and acts."""
