import house_style
import idna

print("git-dependency", house_style.NAME, idna.__version__)
