"""This package predicts whether a viewer will like a film, from 100,004 ratings of MovieLens."""
