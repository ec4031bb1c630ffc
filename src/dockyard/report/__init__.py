"""The page of `invoke report`: values, charts, HTML."""
